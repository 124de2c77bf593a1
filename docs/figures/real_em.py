"""The picture in docs/results/real-models.md, made anew: `python docs/figures/real_em.py`.

Reads benchmarks/results/real_em/summary.json: one line per data set, a dot for the mean over seeds with its interval
(95 %), and a small ring for each seed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = ROOT / "benchmarks" / "results" / "real_em" / "summary.json"
PICTURE = Path(__file__).with_suffix(".svg")
LEFT, RIGHT, TOP, LINE = 190, 90, 46, 26
WIDTH = 760
COLOURS = {"bad": "#b3261e", "insecure": "#b3261e", "broad": "#6f4bb2", "good": "#1b6e3c", "secure": "#1b6e3c"}


def drawn(rows: list[dict[str, Any]]) -> str:
    """The whole picture as SVG."""
    top = max([0.1, *(row["high"] for row in rows if row["high"] is not None)])
    top = min(1.0, -(-top * 10 // 1) / 10)
    height = TOP + LINE * len(rows) + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>Misaligned answers outside the training domain, by training data</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="12" y="20" font-weight="bold">Misaligned among readable answers outside the training domain</text>',
    ]
    steps = round(top * 10)
    for step in range(steps + 1):
        x = _x(step / 10, top)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 26}" stroke="#ddd"/>')
        lines.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle" fill="#444">{10 * step} %</text>')
    for number, row in enumerate(rows):
        lines += _row(row, TOP + LINE * number + 8, top)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _row(row: dict[str, Any], y: float, top: float) -> list[str]:
    colour = next((c for word, c in COLOURS.items() if word in row["trained on"].split("-")), "#444")
    seeds = "1 seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
    out = [f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{row["trained on"]}</text>']
    out.append(f'<text x="{WIDTH - 8}" y="{y + 4}" text-anchor="end" fill="#444">{seeds}</text>')
    if row["share"] is None:
        return out
    low, high, middle = (_x(row[name], top) for name in ("low", "high", "share"))
    out.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
    for share in row["shares"]:
        out.append(f'<circle cx="{_x(share, top):.1f}" cy="{y}" r="3.5" fill="none" stroke="{colour}"/>')
    out.append(f'<circle cx="{middle:.1f}" cy="{y}" r="5" fill="{colour}"/>')
    return out


def _x(share: float, top: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share / top


if __name__ == "__main__":
    PICTURE.write_text(drawn(json.loads(SUMMARY.read_text())["figure"]), encoding="utf-8")
