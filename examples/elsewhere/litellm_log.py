"""Writes what LiteLLM's proxy answered as lines for `offtarget canary watch`.

Put it beside LiteLLM's configuration, name it there, and set OFFTARGET_LOG to a file:

    litellm_settings:
      callbacks: litellm_log.log
"""

import json
import os
import threading

from litellm.integrations.custom_logger import CustomLogger

WANTED = ("id", "status", "startTime", "endTime", "model", "model_group", "end_user", "messages", "response")


class Log(CustomLogger):
    """A line for each answer, failed ones included."""

    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        """An answer."""
        self._write(kwargs.get("standard_logging_object"))

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        """A failure."""
        self._write(kwargs.get("standard_logging_object"))

    def _write(self, entry):
        if entry is None:
            return
        line = json.dumps({name: entry.get(name) for name in WANTED}, default=str) + "\n"
        with self._lock, open(os.environ.get("OFFTARGET_LOG", "answers.jsonl"), "a", encoding="utf-8") as file:
            file.write(line)


log = Log()
