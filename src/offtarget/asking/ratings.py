"""What people or a strong judge said of base answers, kept between runs: nobody is asked twice about one answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from offtarget.asking.ask import Pair
from offtarget.asking.cache import cache_root
from offtarget.records import Outcome, Verdict
from offtarget.rundir import fingerprint, to_jsonable


class KeptRatings:
    """Ratings of one base model's answers by one rater, looked up by the exact question and answer."""

    def __init__(self, base_fingerprint: str, rater_fingerprint: str, root: Path | None = None) -> None:
        name = fingerprint([base_fingerprint, rater_fingerprint, "ratings/1"])
        self._path = (root or cache_root()) / "ratings" / f"{name}.jsonl"
        self._rater = rater_fingerprint
        self._found: dict[str, tuple[Outcome, str | None]] = {}
        """Key of question and answer -> outcome and reason; the last word counts."""
        self.hits = 0
        """Ratings that nobody had to be asked for."""
        self._read()

    def _read(self) -> None:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return  # none kept yet, or none that can be read
        for line in lines:
            try:
                value = json.loads(line)
                reason = value.get("reason")
                if isinstance(value["answer"], str) and isinstance(reason, str | None):
                    self._found[value["answer"]] = (Outcome(value["outcome"]), reason)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # a line torn by a crash; the answer is rated again

    def get(self, pair: Pair) -> Verdict | None:
        """What was said of this answer, if anything."""
        found = self._found.get(_key(pair))
        if found is None:
            return None
        self.hits += 1
        _, answer = pair
        outcome, reason = found
        return Verdict(answer.role, answer.probe_id, answer.index, outcome, reason=reason, judge=self._rater)

    def put(self, rated: Iterable[tuple[Pair, Verdict]]) -> None:
        """Keep ratings. What cannot be written is asked for again another time, so errors are ignored."""
        lines = []
        for pair, verdict in rated:
            key, said = _key(pair), (verdict.outcome, verdict.reason)
            if self._found.get(key) != said:
                self._found[key] = said
                value = {"answer": key, "outcome": verdict.outcome.value, "reason": verdict.reason}
                lines.append(json.dumps(value) + "\n")
        if not lines:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock"), self._path.open("ab") as file:
                # a leading newline ends a line that another process left torn
                file.write(b"\n" + "".join(lines).encode("ascii"))
        except OSError:
            return


def _key(pair: Pair) -> str:
    probe, answer = pair
    asked = [to_jsonable(message) for message in probe.messages]
    return fingerprint([asked, list(probe.opening), list(answer.opening), answer.text])
