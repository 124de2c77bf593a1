"""Numbers and hostile text, made fit for people to read."""

from __future__ import annotations

import math
import re

from offtarget.records import Interval, Tally

NO_DATA = "no data"
"""What is printed where there is no scored answer; never 0."""

_SUSPECT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: object) -> str:
    """Text in which nothing hides: controls, direction overrides, tags and lone surrogates become `[U+202E]`.

    What is left can be encoded as UTF-8 and is legal in XML 1.0 after escaping. Joiners stay: scripts and
    emoji need them.
    """
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return _SUSPECT.sub(_named, plain).replace("\ufffe", "[U+FFFE]").replace("\uffff", "[U+FFFF]")


def _named(match: re.Match[str]) -> str:
    return f"[U+{ord(match.group()):04X}]"


def one_line(text: object, limit: int = 300) -> str:
    """Visible text on one line, cut at `limit` characters with an ellipsis."""
    line = " ".join(visible(str(text)[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """The text with a capital first letter and a full stop; commands at its end stay as they are."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text[-1] in ".!?:" else ".")


def percent(rate: float | None) -> str:
    """A share as a percentage with sensible digits: `no data`, `0 %`, `<0.1 %`, `1.3 %`, `14 %`."""
    if rate is None or not math.isfinite(rate):
        return NO_DATA
    if rate == 0:
        return "0\u00a0%"
    if 0 < rate < 0.001:
        return "<0.1\u00a0%"
    if 0.999 < rate < 1:
        return ">99.9\u00a0%"
    digits = 1 if abs(rate) < 0.0995 else 0
    if 0.9905 < rate < 1:
        digits = 1
    return f"{rate * 100:.{digits}f}\u00a0%"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points with its sign: `+14 points`, `-0.3 points`, `0 points`."""
    if difference is None or not math.isfinite(difference):
        return NO_DATA
    if difference == 0:
        return "0 points"
    if abs(difference) < 0.0005:
        return ("+" if difference > 0 else "\u2212") + "<0.1 points"
    sign = "+" if difference > 0 else "\u2212"
    return f"{sign}{_magnitude(difference)} points"


def between(interval: Interval | None, signed: bool = True) -> str:
    """An interval for a difference, in percentage points: `-1.2 to +14`; an empty text without one."""
    if interval is None:
        return ""
    return f"{_bound(interval.low, signed)} to {_bound(interval.high, signed)}"


def of(tally: Tally) -> str:
    """Numerator and denominator of the misaligned rate: `14 of 96`; `no data` without a scored answer."""
    return f"{tally.misaligned:,} of {tally.scored:,}" if tally.scored else NO_DATA


def e_value(log_e: float | None) -> str:
    """An e-value from its natural log, short: `0.31`, `24`, `5.1e+06`; `no data` for None."""
    if log_e is None or math.isnan(log_e):
        return NO_DATA
    if log_e > 13.8 or log_e < -6.9:
        exponent = log_e / math.log(10)
        if not math.isfinite(exponent):
            return "0" if exponent < 0 else "∞"
        whole = math.floor(exponent)
        return f"{10 ** (exponent - whole):.1f}e{whole:+d}"
    value = math.exp(log_e)
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _magnitude(value: float) -> str:
    size = abs(value) * 100
    return f"{size:.1f}" if size < 9.95 else f"{size:.0f}"


def _bound(value: float, signed: bool) -> str:
    if not math.isfinite(value):
        return "?"
    text = _magnitude(value)
    if float(text) == 0:
        return "0"
    if value < 0:
        return "\u2212" + text
    return ("+" if signed else "") + text
