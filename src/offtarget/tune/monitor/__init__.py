"""Watches alignment while a model is trained: probe answers, the task, and signs of what is to come.

One file per concept: `callback` is the transformers callback, `asking` samples and judges, `contrast` the shift of
fixed answers, `evidence` the alarm's e-process, `task` the task metric, `best` the choice of a checkpoint, `status`
the line on the terminal.
"""

from __future__ import annotations

from offtarget.tune.monitor.callback import MisalignmentMonitor
from offtarget.tune.monitor.settings import MonitorSettings

__all__ = ["MisalignmentMonitor", "MonitorSettings"]
