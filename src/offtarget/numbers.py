"""Numbers as text: one value reads the same in the terminal, on pages, in Markdown, in JUnit and in sentences.

The rule, which the reasons of verdicts set and all else follows:

- A measured share has one decimal, and two below 0.1 %; a zero at the end is dropped: `91.7 %`, `5 %`, `0.04 %`.
  What is not zero never reads `0 %` (`<0.01 %`), and less than all never reads `100 %` (`>99.9 %`).
- A share that somebody chose (alpha, margin, limit) is given in full: `1.25 %`.
- A bound said with `at most` or `at least` is rounded away from the estimate, so that the sentence stays true.
- A difference of shares is in points with its sign, digits as above: `+12.5`.
- A count has separators: `1,520`. An e-value has three digits, and is a power of ten from a million on and below a
  thousandth: `0.31`, `24.3`, `123,000`, `10^17`. A p-value has two digits: `0.034`, `2e-30`.
- Room on a disk is in MB, from a thousand on in GB, with one decimal below ten: `7.8 MB`.
- A time has one decimal below ten of its unit: `3.4 s`, `45 s`, `12 min`, `1.7 h`.
- No number at all is `no data`, never 0.

Texts hold plain spaces and hyphens, fit for a terminal; pages set them in type, with true minus signs and no break
before the unit.
"""

from __future__ import annotations

import math
from typing import Protocol

NO_DATA = "no data"
"""What is printed where nothing was measured; never 0."""

CERTAIN = 1000.0
"""From this log e on an audit's e-value stands for rows that were all counted: nothing is left to chance."""


class Range(Protocol):
    """Anything with two ends."""

    @property
    def low(self) -> float:
        """Lower end."""
        ...

    @property
    def high(self) -> float:
        """Upper end."""
        ...


def percent(share: float | None) -> str:
    """A measured share: `no data`, `0 %`, `<0.01 %`, `0.04 %`, `5 %`, `91.7 %`, `>99.9 %`, `100 %`."""
    if share is None or not math.isfinite(share):
        return NO_DATA
    text = _size(share)
    if 0 < share < 1 and text == "100":
        text = ">99.9"
    return f"{'-' if share < 0 else ''}{text} %"


def chosen(share: float) -> str:
    """A share that was chosen, in full: 0.05 -> `5 %`, 0.0125 -> `1.25 %`."""
    return f"{100 * share:.12g} %"


def chosen_points(share: float) -> str:
    """A difference that was chosen, in points without the unit: 0.0125 -> `1.25`."""
    return f"{100 * share:.12g}"


def with_unit(points: str) -> str:
    """`1` -> `1 point`, `1.25` -> `1.25 points`."""
    return f"{points} point" if points == "1" else f"{points} points"


def at_most(share: float) -> str:
    """An upper bound, rounded up to a tenth of a percent."""
    return percent(min(1.0, -(-share * 1000 // 1) / 1000)) if share > 0 else percent(0.0)


def at_least(share: float) -> str:
    """A lower bound, rounded down to a tenth of a percent; it may come to `0 %`."""
    return percent(share * 1000 // 1 / 1000)


def share_range(interval: Range | None) -> str:
    """Bounds of a share, rounded outwards: `0.2 % to 4.1 %`."""
    return NO_DATA if interval is None else f"{at_least(interval.low)} to {at_most(interval.high)}"


def difference(value: float | None) -> str:
    """A difference of shares in percentage points with its sign, without the word: `+12.5`, `-0.3`, `0`."""
    if value is None or not math.isfinite(value):
        return NO_DATA
    return f"{'' if value == 0 else '+' if value > 0 else '-'}{_size(value)}"


def points(value: float | None) -> str:
    """A difference of shares with its unit: `+12.5 points`."""
    text = difference(value)
    return text if text == NO_DATA else f"{text} points"


def between(interval: Range | None) -> str:
    """An interval of differences in percentage points: `-1.2 to +14`."""
    return NO_DATA if interval is None else f"{difference(interval.low)} to {difference(interval.high)}"


def below(bound: float) -> str:
    """An upper bound of a difference in points, without the unit, rounded up to a tenth: `4.8`."""
    return _tenths(math.ceil(round(1000 * bound, 6)))


def above(bound: float) -> str:
    """A lower bound of a difference in points, without the unit, rounded down to a tenth: `43.2`."""
    return _tenths(math.floor(round(1000 * bound, 6)))


def _tenths(thousandths: int) -> str:
    return f"{thousandths / 10:.1f}".removesuffix(".0")


def bounds(interval: Range | None) -> str:
    """Bounds of a difference in points, rounded outwards: `-1.2 to +14`."""
    if interval is None:
        return NO_DATA
    ends = (above(interval.low), below(interval.high))
    return " to ".join(end if end.startswith("-") or end == "0" else f"+{end}" for end in ends)


def worse_by(interval: Range) -> str:
    """Bounds of how much worse a model is, after `worse by`: `-1 to +5 points`; `at least +12 points` where nothing
    is known of the upper end, which a difference of shares has at 1."""
    if interval.high < 1:
        return f"{bounds(interval)} points"
    low = above(interval.low)
    return f"at least {low if low.startswith('-') or low == '0' else f'+{low}'} points"


def hundredths(share: float) -> str:
    """A measured share where the unit, per cent or points, is said elsewhere: `12.5`."""
    return percent(share).removesuffix(" %")


def hundredths_range(interval: Range) -> str:
    """An interval of shares where the unit is said elsewhere: `0.8 to 2.1`."""
    return f"{hundredths(interval.low)} to {hundredths(interval.high)}"


def whole(number: float | None) -> str:
    """A count with separators: `1,520`."""
    return NO_DATA if number is None or not math.isfinite(number) else f"{number:,.0f}"


def many(number: int, one: str, more: str | None = None) -> str:
    """A count with its noun: `1 row`, `1,200 rows`."""
    return f"{whole(number)} {one if number == 1 else more or one + 's'}"


def of(part: int, total: int) -> str:
    """A count with what it is part of: `14 of 1,096`; `no data` of nothing."""
    return f"{whole(part)} of {whole(total)}" if total else NO_DATA


def mean_count(value: float) -> str:
    """A count that need not be whole, such as an expected one: `1.2`, `1,204.5`, `<0.1`."""
    return "<0.1" if 0 < value < 0.05 else f"{value:,.1f}"


def nats(value: float) -> str:
    """A distance of log probabilities, in nats: `0.83`, `0.012`, `<0.001`."""
    return "<0.001" if value < 0.001 else f"{value:.2g}" if value < 10 else f"{value:.0f}"


def effect(share: float) -> str:
    """How much of an effect arrives, which may be less than none or more than all of it: `99 %`, `0 %`, `-12 %`."""
    return f"{round(100 * share) or 0} %"


def short(number: float) -> str:
    """A round number for an axis, in powers of 1,024: `16`, `4k`, `1M`."""
    if number >= 1 << 20:
        return f"{number / (1 << 20):g}M"
    return f"{number / 1024:g}k" if number >= 1024 else f"{number:g}"


def e_value(log_e: float | None) -> str:
    """An e-value from its natural logarithm: `0.31`, `24.3`, `123,000`, `10^17`."""
    if log_e is None or math.isnan(log_e):
        return NO_DATA
    power = log_e / math.log(10)
    if not math.isfinite(power):
        return "0" if power < 0 else "∞"
    if power < -3 or power >= 6 or (value := math.exp(log_e)) >= 999_500:
        return f"10^{power:.0f}"
    return f"{value:.3g}" if value < 999.5 else whole(float(f"{value:.3g}"))


def audit_e_value(log_e: float) -> str:
    """The same for an audit: `certain` where rows were counted and nothing is left to chance."""
    return "certain" if log_e >= CERTAIN else e_value(log_e)


def needed_e_value(alpha: float) -> str:
    """The e-value that decides at an error probability: 0.05 -> `20`."""
    return e_value(-math.log(alpha))


def p_value(value: float) -> str:
    """A p-value: `0.034`, `2e-30`, `<1e-99`."""
    if not math.isfinite(value):
        return NO_DATA
    if value < 1e-99:
        return "<1e-99"
    if value < 0.001:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{min(value, 1.0):.2g}"


def times(value: float) -> str:
    """How many times as frequent: `6.1×`, `93.4×`, `1,204×`."""
    if not math.isfinite(value):
        return NO_DATA
    return f"{whole(value)}×" if value >= 999.5 else f"{value:.3g}×"


def duration(seconds: float | None) -> str:
    """A time: `3.4 s`, `45 s`, `12 min`, `1.7 h`."""
    if seconds is None or not math.isfinite(seconds):
        return NO_DATA
    value, unit = seconds, "s"
    for size, larger in ((60, "min"), (60, "h")):
        if value < 99.5:
            break
        value, unit = value / size, larger
    text = f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"
    return f"{text} {unit}"


def money(amount: float | None, currency: str) -> str:
    """An amount: `12.40 USD`, `0.0031 USD`; two digits where it is less than a tenth, so that little is not none."""
    if amount is None or not math.isfinite(amount):
        return NO_DATA
    if 0 < amount < 0.0995:
        text = f"{amount:.2g}" if amount >= 0.00095 else "<0.001"
        return f"{text} {currency}"
    return f"{amount:,.2f} {currency}"


def file_size(size: int) -> str:
    """Room on a disk: `0.1 MB`, `7.8 MB`, `120 MB`, `1.4 GB`; never less than a tenth where there is any."""
    value, unit = size / 1e6, "MB"
    if value >= 999.5:
        value, unit = value / 1000, "GB"
    text = f"{max(value, 0.1 if size else 0.0):.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"
    return f"{text} {unit}"


def _size(share: float) -> str:
    """The size of a share times a hundred, without sign and unit."""
    value = abs(100 * share)
    if 0 < value < 0.005:
        return "<0.01"
    text = f"{value:.{1 if value >= 0.1 or value == 0 else 2}f}"
    return text.rstrip("0").rstrip(".")
