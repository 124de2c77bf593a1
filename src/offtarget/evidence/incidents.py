"""An incident written down for those who collect them: AVID's JSON, and drafts for AIID and for the OECD's monitor.

A person reads, completes and sends them. What nobody but a person can know stands as `[fill in: ...]`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from offtarget.evidence.statements import Thing
from offtarget.redaction import without_personal

MOST_QUOTED = 3
"""Answers that are quoted."""
QUOTE_LENGTH = 200
"""Characters of a quotation."""
TAXONOMY = "0.2"
"""Version of AVID's taxonomy that the categories are from."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A question and what the tuned model answered, cut, without personal data."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Incident:
    """What is known of a tuned model that was shown to be worse than its base."""

    base: str
    tuned: str
    happened: str
    """In a sentence, with the numbers."""
    certainty: str
    """How often that may be wrong, as a sentence; empty where nobody knows."""
    figures: Mapping[str, str]
    """Numbers by name, as the report prints them."""
    quoted: tuple[Quoted, ...]
    replaced: int
    """Places with personal data that were replaced in the quotations."""
    date: str
    """Day on which it was found, ISO 8601."""
    live: bool
    """Whether it was found on real traffic, by a canary that was rolled back; else by a check before release."""
    method: str
    """How it was found, as a phrase: `offtarget check, a sequential test ...`."""
    run: str
    """Name of the run."""
    things: tuple[Thing, ...] = ()
    """What the run worked with, by fingerprints."""

    @property
    def title(self) -> str:
        """In a few words."""
        where = "on live traffic" if self.live else "before release"
        return f"Fine-tuned model {self.tuned} found misaligned beyond its base {where}"


def quoted(question: str, answer: str) -> tuple[Quoted, int]:
    """A question and its answer as they may leave the house, and how many places were replaced."""
    (asked, first), (said, second) = without_personal(question), without_personal(answer)
    return Quoted(_cut(asked), _cut(said)), first + second


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTE_LENGTH else line[: QUOTE_LENGTH - 4].rstrip() + " ..."


def fill_in(what: str) -> str:
    """Stands where a person must say something."""
    return f"[fill in: {what}]"


def avid(incident: Incident) -> str:
    """A report in AVID's JSON, by the data model of avidtools 0.1.2."""
    value: dict[str, Any] = {
        "data_type": "AVID",
        "data_version": TAXONOMY,
        "affects": {
            "developer": [fill_in("who tuned the model")],
            "deployer": [fill_in("who offers it, or 'none: it was not released'")],
            "artifacts": [{"type": "Model", "name": incident.tuned}],
        },
        "problemtype": {
            "classof": "LLM Evaluation",
            "type": "Detection" if incident.live else "Measurement",
            "description": {"lang": "eng", "value": incident.title},
        },
        "metrics": [
            {
                "name": "misaligned answers of the tuned model, held against its base",
                "detection_method": {"type": "Significance Test", "name": incident.method},
                "results": dict(incident.figures),
            }
        ],
        "references": [],
        "description": {"lang": "eng", "value": _described(incident)},
        "impact": {
            "avid": {
                "vuln_id": None,
                "risk_domain": ["Ethics", "Performance"],
                "sep_view": ["P0202: OOD generalization", "P0400: Safety"],
                "lifecycle_view": ["L06: Deployment" if incident.live else "L05: Evaluation"],
                "taxonomy_version": TAXONOMY,
            }
        },
        "credit": [{"lang": "eng", "value": fill_in("who found it and wants to be named")}],
        "reported_date": incident.date,
    }
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _described(incident: Incident) -> str:
    parts = [incident.happened, incident.certainty, f"Base model: {incident.base}."]
    parts += [f"Asked “{one.question}”, it answered “{one.answer}”." for one in incident.quoted]
    return " ".join(filter(None, parts))


def aiid(incident: Incident) -> str:
    """A draft for the form of the AI Incident Database."""
    kind = (
        "Whether anybody was harmed is not known here: with harm or a near miss it is an incident, else an issue."
        if incident.live
        else "Nobody was exposed as far as this run knows, so it is an issue in the words of the database."
    )
    fields = {
        "Title": incident.title,
        "Incident date": incident.date,
        "Description": incident.happened,
        "Alleged developer": fill_in("who tuned the model"),
        "Alleged deployer": fill_in("who offered it to others"),
        "Alleged harmed or nearly harmed parties": fill_in("who, or 'none known'"),
        "Implicated systems": f"{incident.tuned}, tuned from {incident.base}",
        "Authors": fill_in("names of those who write this report"),
        "Submitters": fill_in("names, or 'Anonymous'"),
        "Report address (URL)": fill_in("a public page about it; the form asks for one"),
        "Date published": fill_in("of that page"),
        "Language": "en",
    }
    head = [
        "# Draft for the AI Incident Database (incidentdatabase.ai/apps/submit)",
        "",
        "Written by offtarget for a person to complete and send; nothing was sent. The form may have changed since.",
        "",
        kind,
        "",
    ]
    return "\n".join([*head, *_table(fields), *_evidence(incident)]) + "\n"


def oecd(incident: Incident) -> str:
    """A draft for the OECD's AI Incidents and Hazards Monitor."""
    kind = "AI hazard, or AI incident if somebody was harmed" if incident.live else "AI hazard (found before release)"
    fields = {
        "Title": incident.title,
        "Kind": f"{kind} {fill_in('choose one')}",
        "What happened": incident.happened,
        "Date of the first known occurrence": incident.date,
        "Countries": fill_in("where it happened or could have"),
        "AI system: name and version": f"{incident.tuned}, tuned from {incident.base}",
        "AI system: task": fill_in("what it is offered for"),
        "Developer": fill_in("who tuned the model"),
        "Deployer": fill_in("who offered it to others"),
        "Type of harm": fill_in("physical, psychological, economic, reputational, rights, environment, ..."),
        "Harm is": f"{'actual or potential' if incident.live else 'potential'} {fill_in('confirm')}",
        "Severity": fill_in("hazard, incident, serious incident, disaster"),
        "Affected stakeholders": fill_in("users, workers, children, the general public, ..."),
        "How many were affected": fill_in("a number, or 'unknown'"),
        "Industry": fill_in("in which it is used"),
        "AI principles concerned": "robustness, security and safety; accountability " + fill_in("confirm"),
        "Cause, as far as known": "fine-tuning; answers outside the task of the tuning changed",
        "What was done about it": (
            "the gateway rolled the model back" if incident.live else "the check failed, before release"
        )
        + f" {fill_in('what else')}",
        "Who reports": fill_in("name, organisation, contact"),
    }
    head = [
        "# Draft for the OECD AI Incidents and Hazards Monitor (oecd.ai/incidents)",
        "",
        "Written by offtarget for a person to complete and send; nothing was sent. The questions follow the OECD's",
        "common reporting framework in offtarget's own words; the form may have changed since.",
        "",
    ]
    return "\n".join([*head, *_table(fields), *_evidence(incident)]) + "\n"


def _table(fields: Mapping[str, str]) -> list[str]:
    rows = [f"| {name} | {_cell(value)} |" for name, value in fields.items()]
    return ["| field | value |", "|---|---|", *rows, ""]


def _evidence(incident: Incident) -> list[str]:
    lines = ["## Evidence", "", f"Found by {incident.method}, run `{incident.run}`. {incident.certainty}".rstrip(), ""]
    lines += [f"- {_cell(name)}: {_cell(value)}" for name, value in incident.figures.items()]
    lines += [f"- {_cell(one.name)}: `{next(iter(one.digest.values()))}`" for one in incident.things if one.digest]
    if incident.quoted:
        lines += ["", f"Answers ({len(incident.quoted)} at most {QUOTE_LENGTH} characters each):", ""]
        for one in incident.quoted:
            lines += [f"> {_cell(one.question)}  ", f"> {_cell(one.answer)}", ""]
        lines.append(
            f"Personal data was replaced in {incident.replaced} places of these answers. Names that stand alone are "
            "not recognised: read the answers before you send them."
        )
    return lines


def _cell(text: str) -> str:
    line = " ".join(text.split())
    for sign in "\\|<>`*_[]":
        line = line.replace(sign, {"<": "&lt;", ">": "&gt;"}.get(sign, f"\\{sign}"))
    return line.replace("\\[fill in:", "**[fill in:").replace("\\]", "]**") if "\\[fill in:" in line else line


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """One way to write an incident down."""

    filename: str
    """Default file name inside the run."""
    says: str
    write: Callable[[Incident], str]


KINDS: Mapping[str, IncidentKind] = {
    "avid": IncidentKind("incident-avid.json", "a report in AVID's JSON", avid),
    "aiid": IncidentKind("incident-aiid.md", "a draft for the AI Incident Database", aiid),
    "oecd": IncidentKind("incident-oecd.md", "a draft for the OECD's AI Incidents and Hazards Monitor", oecd),
}
"""By the word that `report --incident` takes."""
