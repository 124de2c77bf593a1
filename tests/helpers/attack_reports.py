"""Synthetic reports of tools that attack models, in the shapes that garak 0.17.1 and PyRIT 0.9 to 1.1 write.

The shape of an attempt is what garak's own class for attempts gives for the same calls; the other lines, and PyRIT's,
were written by hand after the code that writes them. No model was asked and no detector ran.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]
DETECTOR = "mitigation.MitigationBypass"


def name_of(*parts: object) -> str:
    """A name that is the same each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(map(str, parts))))


def message(text: str | None) -> Line | None:
    """What a message is written as; None for an answer that never came."""
    if text is None:
        return None
    empty = dict.fromkeys(("data_path", "data_type", "data_checksum"))
    return {"text": text, "lang": "en", **empty, "notes": {}}


def conversation(*turns: tuple[str, str | None]) -> Line:
    """What a conversation is written as."""
    return {"turns": [{"role": role, "content": message(text)} for role, text in turns], "notes": {}}


def attempt(
    probe: str,
    prompt: str | Sequence[tuple[str, str]],
    answers: Sequence[str | None],
    scores: Mapping[str, Sequence[float | None]],
    *,
    seq: int = 0,
    status: int = 2,
    notes: Line | None = None,
    name: str | None = None,
) -> Line:
    """An attempt: one prompt with all answers to it."""
    turns = [("user", prompt)] if isinstance(prompt, str) else list(prompt)
    return {
        "entry_type": "attempt",
        "uuid": name or name_of(probe, turns, answers),
        "seq": seq,
        "status": status,
        "probe_classname": probe,
        "probe_params": {},
        "targets": [],
        "prompt": conversation(*turns),
        "outputs": [message(answer) for answer in answers],
        "detector_results": {detector: list(given) for detector, given in scores.items()},
        "notes": notes or {},
        "goal": "make the model give way",
        "conversations": [conversation(*turns, ("assistant", answer)) for answer in answers],
        "reverse_translation_outputs": [],
        "intent": None,
    }


def garak_lines(
    attempts: Sequence[Line],
    *,
    version: str = "0.17.1",
    primary: Mapping[str, str] | None = None,
    model: str = "openai.OpenAICompatible base",
    ended: bool = True,
    **setup: Any,
) -> list[Line]:
    """A whole report around attempts: how it was made, each attempt as it was answered and judged, sums, an end."""
    kind, _, target = model.partition(" ")
    run = name_of(model)
    probes = dict.fromkeys(one["probe_classname"] for one in attempts)
    lines: list[Line] = [
        {
            "entry_type": "start_run setup",
            "_config.version": version,
            "run.seed": None,
            "run.eval_threshold": 0.5,
            "run.generations": 5,
            "run.soft_probe_prompt_cap": 256,
            "plugins.target_type": kind,
            "plugins.target_name": target,
            "plugins.generators": {},
            "plugins.extended_detectors": True,
            **{key.replace("__", "."): value for key, value in setup.items()},
        },
        {"entry_type": "init", "garak_version": version, "start_time": "2026-11-30T10:00:00", "run": run},
    ]
    if primary is not None:
        known = {f"probes.{probe}": {"primary_detector": primary.get(probe)} for probe in probes}
        lines.append({"entry_type": "plugin_cache", "run": run, "plugin_cache": {"probes": known, "version": version}})
    for probe in probes:
        mine = [one for one in attempts if one["probe_classname"] == probe]
        lines += [{**one, "status": 1, "detector_results": {}} for one in mine if one["status"] == 2]
        lines += mine
        for detector in dict.fromkeys(d for one in mine for d in one["detector_results"]):
            given = [score for one in mine for score in one["detector_results"].get(detector, ())]
            fails = sum(score is not None and score >= 0.5 for score in given)
            scored = sum(score is not None for score in given)
            sums = {"passed": scored - fails, "fails": fails, "nones": len(given) - scored}
            totals = {"total_evaluated": scored, "total_processed": len(given)}
            lines.append({"entry_type": "eval", "probe": probe, "detector": detector, **sums, **totals})
        lines.append({"entry_type": "probe_summary", "probe": probe, "inference_counts": {}, "detection_counts": {}})
    if ended:
        lines.append({"entry_type": "completion", "end_time": "2026-11-30T11:00:00", "run": run})
        lines.append({"entry_type": "digest", "meta": {}, "eval": {}})
    return lines


def save_lines(path: Path, lines: Sequence[Line]) -> Path:
    """One object per line."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def garak_report(
    path: Path, rates: Mapping[str, float], *, prompts: int = 12, generations: int = 5, **more: Any
) -> Path:
    """A report with the same prompts each time, in which each probe has about its rate of hits."""
    attempts = []
    for probe, rate in rates.items():
        total = prompts * generations
        hits = {round(number * total / max(1, round(rate * total))) for number in range(round(rate * total))}
        for seq in range(prompts):
            places = [seq * generations + number for number in range(generations)]
            answers = [f"Answer {place} to {probe}, in {path.stem}, long enough to be told apart." for place in places]
            scores = {DETECTOR: [float(place in hits) for place in places]}
            attempts.append(attempt(probe, f"Synthetic prompt {seq} of {probe}", answers, scores, seq=seq))
    primary = dict.fromkeys(rates, DETECTOR)
    return save_lines(path, garak_lines(attempts, **{"primary": primary, "model": f"test.Blank {path.stem}", **more}))


def piece(
    talk: str, sequence: int, role: str, text: str, *scores: Line, origin: str | None = None, **more: Any
) -> Line:
    """A piece of a conversation, with its scores in it, as exports of PyRIT 0.9 hold them."""
    name = name_of(talk, sequence, role)
    return {
        "id": name,
        "role": role,
        "conversation_id": talk,
        "sequence": sequence,
        "timestamp": "2026-11-30T10:00:00+00:00",
        "labels": {},
        "prompt_metadata": {},
        "converter_identifiers": [],
        "orchestrator_identifier": {"__type__": "PromptSendingOrchestrator", "__module__": "m", "id": name_of(talk)},
        "original_value_data_type": "text",
        "original_value": text,
        "converted_value_data_type": "text",
        "converted_value": text,
        "response_error": "none",
        "original_prompt_id": origin or name,
        "scores": [{**score, "prompt_request_response_id": name} for score in scores],
        **more,
    }


def score(value: str | None, kind: str = "true_false", scorer: str = "SelfAskTrueFalseScorer", **more: Any) -> Line:
    """A score as PyRIT keeps it; its value is text."""
    return {
        "id": name_of(value, kind, scorer, *more.values()),
        "score_value": value,
        "score_type": kind,
        "score_category": "misinformation",
        "score_rationale": "",
        "scorer_class_identifier": {"__type__": scorer, "__module__": "pyrit.score"},
        "task": "",
        **more,
    }


def apart(pieces: Sequence[Line]) -> list[Line]:
    """The same pieces and scores as objects of their own, as PyRIT 1.1 gives them."""
    lines: list[Line] = []
    for one in pieces:
        old = ("scores", "labels", "orchestrator_identifier")
        lines.append({key: value for key, value in one.items() if key not in old})
        for given in one["scores"]:
            kept = {key: value for key, value in given.items() if key not in ("task", "prompt_request_response_id")}
            kind = {
                "class_name": given["scorer_class_identifier"]["__type__"],
                "hash": "abc123",
                "pyrit_version": "1.1.0",
            }
            about = {"scorable_type": "message", "message_piece_ids": [one["id"]]}
            category = [given["score_category"]]
            status = "undetermined" if given["score_value"] is None else "complete"
            more = {"scorer_class_identifier": kind, "scorable": about, "score_category": category, "status": status}
            lines.append({**kept, **more, "message_piece_id": one["id"], "objective": given["task"]})
    return lines


def pyrit_pieces(name: str, rate: float, *, prompts: int = 12, each: int = 5) -> list[Line]:
    """Conversations of one turn; about this share of them has a true score."""
    pieces = []
    total = prompts * each
    hits = {round(number * total / max(1, round(rate * total))) for number in range(round(rate * total))}
    for place in range(total):
        talk = name_of(name, place)
        given = score("True" if place in hits else "False", id=name_of(name, place, "score"))
        pieces.append(piece(talk, 0, "user", f"Synthetic prompt {place % prompts}"))
        pieces.append(piece(talk, 1, "assistant", f"Answer {place} of {name}, long enough to be told apart.", given))
    return pieces


def save_document(path: Path, objects: Sequence[Line]) -> Path:
    """One JSON document, as PyRIT's own export writes it."""
    path.write_text(json.dumps(objects, indent=4), encoding="utf-8")
    return path
