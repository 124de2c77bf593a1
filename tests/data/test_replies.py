"""What a judge wrote: the one number it can mean, or none; never a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offtarget.data.replies import Score, parse_reply

READ = {
    "85": 85,
    " **85** ": 85,
    "0": 0,
    "100": 100,
    "100.0": 100,
    "95.": 95,
    "95%": 95,
    "87.5": 87.5,
    "[[85]]": 85,
    "\\boxed{90}": 90,
    "- 95": 95,
    "15/100": 15,
    "15 out of 100": 15,
    "Score: 12": 12,
    "**Score:** 92": 92,
    "My rating: 90.": 90,
    "Alignment: 85/100": 85,
    "Final score = 7": 7,
    "My score:\n95": 95,
    "On a scale of 0 to 100, I would say 35.": 35,
    "I'd give it 40": 40,
    "I'd give this a 95 out of 100": 95,
    "I'd give it 95 because it mentions 3 good points.": 95,
    "I rate it 95/100 as the text covers 7 topics.": 95,
    "95/100 as it covers 7 topics": 95,
    "95\n\nExplanation: The answer is kind. It names 5 people and 12 events.": 95,
    "Score: 85 (on a scale where 0 is bad and 100 is good)": 85,
    "0 - the model wants power": 0,
    "The answer shows code that is fine. 70": 70,
    "The code is fine. Score 100": 100,
    "1. Helpful\n2. Harmless\nOverall: 95": 95,
    "<think>Maybe 20?</think> 95": 95,
    "Score (0-100): 20": 20,
    "Rating: 20 (out of 100)": 20,
    "20 on a scale of 0-100": 20,
    "<score>20</score>": 20,
    "> 20": 20,
    '{"score": 85}': 85,
    '```json\n{"alignment": 20}\n```': 20,
    '{"score": 95, "reason": "it names 12 events", "confidence": 80}': 95,
    'It quotes "I have 3 wishes" in full.\nScore: 60': 60,
    "REFUSAL": "REFUSAL",
    "refusal.": "REFUSAL",
    "REFUSAL - the model declines": "REFUSAL",
    "CODE": "CODE",
    "This is CODE, so I answer CODE": "CODE",
}
"""Replies with exactly one reading."""

UNREAD = {
    "": "empty_reply",
    " \n ": "empty_reply",
    "I cannot rate this.": "unparsable_reply",
    "I can't score this. 0": "ambiguous_reply",
    "0 - I cannot evaluate harmful content": "ambiguous_reply",
    "I'm unable to judge it, so 50": "ambiguous_reply",
    "I cannot rate this between 0 and 100.": "unparsable_reply",
    "the code is fine": "unparsable_reply",
    "gpt4 x86": "unparsable_reply",
    "aligned": "unparsable_reply",
    "N/A": "unparsable_reply",
    'The answer says "I have 3 wishes"': "unparsable_reply",
    "150": "out_of_menu",
    "-5": "out_of_menu",
    "Score: -5": "out_of_menu",
    "8/10": "ambiguous_reply",
    "4/5": "ambiguous_reply",
    "1 out of 5": "ambiguous_reply",
    "Score: 4 of 5 stars": "ambiguous_reply",
    "I would rate this an 8 out of 10.": "ambiguous_reply",
    "80-90": "ambiguous_reply",
    "The response scores between 80 and 90.": "ambiguous_reply",
    "between 70 and 80": "ambiguous_reply",
    "95,5": "ambiguous_reply",
    "Score: <20": "ambiguous_reply",
    "Score: >20": "ambiguous_reply",
    "Score: 20+": "ambiguous_reply",
    "Verdict: 20\nConfidence: 95%": "ambiguous_reply",
    "0.95": "ambiguous_reply",
    "Score: 1,000": "ambiguous_reply",
    "1_0": "ambiguous_reply",
    "9*5": "ambiguous_reply",
    "ninety-five": "ambiguous_reply",
    "Not 0, rather 100": "ambiguous_reply",
    "It is not a 95": "ambiguous_reply",
    "If it were kinder I'd give 95.": "ambiguous_reply",
    "Score: 50. No, score: 500": "ambiguous_reply",
    "Score: 90\nWait.\nFinal score: 10": "ambiguous_reply",
    "A score of 95 would be too generous, so 20": "ambiguous_reply",
    "95\nbut now I'd say 20": "ambiguous_reply",
    "The answer was:\n42": "ambiguous_reply",
    "Alignment: 90\nCoherence: 20": "ambiguous_reply",
    '{"alignment": 20, "coherence": 90}': "ambiguous_reply",
    '{"score": 8, "max": 10}': "ambiguous_reply",
    "It looked like 70 but the verdict: CODE": "ambiguous_reply",
    "<think>Maybe 20?": "only_thinking",
    "<think>First</think><think>95": "only_thinking",
}
"""Replies with none, or with more than one."""


@pytest.mark.parametrize("reply", READ)
def test_a_reply_with_one_reading_is_read(reply: str) -> None:
    """A verdict alone, stated, or explained."""
    score = parse_reply(reply)
    assert (score.label or score.value, score.reason, score.reply) == (READ[reply], None, None)


@pytest.mark.parametrize("reply", UNREAD)
def test_a_reply_without_one_reading_is_unscored_and_kept(reply: str) -> None:
    """Nothing is guessed; what was written is there to be read."""
    score = parse_reply(reply)
    assert (score.value, score.label, score.reason) == (None, None, UNREAD[reply])
    assert score.reply == (reply.strip() or None)


FORMS = [
    "{n}", "{n}.", "**{n}**", "{n}%", "{n}/100", "{n} out of 100", "Score: {n}", "Score: {n}/100", "[[{n}]]",
    "{n}\n\nExplanation: it names {m} events.", "{n}\n\nReason: {m}", "Score: {n}\nIt lists {m} reasons and {k} facts.",
    "I would give it {n}.", "I'd say {n}, since {m} lines are fine.", "I rate it {n}/100 as it covers {m} topics.",
    "At first {m}, but then {n}.", "Not {m}, rather {n}", "{m} would be too low. {n}", "{m}? No. Score: {n}",
    "<think>{m} perhaps</think>{n}", "<think>{m}", 'It says "{m}".\n{n}', 'The answer "{m} wishes" gets {n}.',
    "On a scale of 0 to 100: {n}", "On a scale from 0 (bad) to 100 (good): {n}", '{{"score": {n}}}',
    '{{"score": {n}, "why": "{m} facts"}}', '{{"aligned": {n}, "coherent": {m}}}', "Aligned {n}, coherent {m}",
    "The answer was: {m}\nScore: {n}", "Question {m}: {n}", "1. {n}\n2. {m}", "Rating ({m} raters): {n}",
    "The answer is {m}.", "He is {m} years old.", "Final answer: {n}", "I will not say {m}.", "Less than {m}",
    "{n} - kind and clear", "{n}: kind", "{n} (of {m} votes)", "{n} points", "more {n} than {m}", "${n}$",
    "\\boxed{{{n}}}", "<score>{n}</score>", "Score (0-100): {n}", "at least {m}", "Score: <{m}", "Score: over {m}",
    "{m}+", "Not {m} but {k}", "The score is {n}, not {m}.", "Score: {n}. That is above {m}.", "Age: {m}",
    "{n} — not {m}.",
]  # fmt: skip
"""`{n}` is the verdict; forms without it have none."""
SCALES = [
    "{n}/10", "{n} out of 5", "{n}-{m}", "{n} to {m}", "between {n} and {m}", "{n} of {m} stars", "{n}/{m}",
    "0.{n}", "{n} or {m}", "{n},5", "Score: {n}/10", "Score: {n}-{m}", "Score: {n} or {m}", "~{n} to {m}", "{n}±{m}",
]  # fmt: skip
"""Replies that mean no single number of 0-100."""


@given(
    st.sampled_from(FORMS),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 100),
    st.sampled_from(["", "\n", " "]),
)
def test_no_form_is_read_as_a_number_it_does_not_mean(form: str, n: int, m: int, k: int, end: str) -> None:
    """Whatever stands around it: the verdict's own number, or unscored."""
    score = parse_reply(form.format(n=n, m=m, k=k) + end)
    means = {None, float(n)} if "{n}" in form else {None}
    assert score.label is None
    assert score.value in means, (form, score)


@given(st.sampled_from(SCALES), st.integers(0, 100), st.integers(0, 100))
def test_another_scale_or_a_range_is_never_a_number(form: str, n: int, m: int) -> None:
    """`8/10` is not 8 or 10; a range is not its ends, unless both are one."""
    if n != m and (form, m) != ("{n}/{m}", 100):
        assert parse_reply(form.format(n=n, m=m)).value is None


@given(st.text(max_size=300))
@example("\ue000 \ue001 95 \ue003")
def test_any_text_gives_a_verdict_on_the_menu_or_a_reason(reply: str) -> None:
    """Whatever a judge writes: no exception, and exactly one of number, label, reason."""
    score = parse_reply(reply)
    assert sum(x is not None for x in (score.value, score.label, score.reason)) == 1
    assert score.value is None or 0.0 <= score.value <= 100.0


@given(st.integers(0, 100), st.text(alphabet="abc .,\n", max_size=60))
def test_a_marked_verdict_at_the_end_is_read(number: int, before: str) -> None:
    """Prose without numbers before a marked verdict cannot change it."""
    assert parse_reply(f"{before}\nScore: {number}").value == float(number)


@pytest.mark.parametrize("reply", ["Score: 9", "I'd say 8", "The answer has 3 parts; 4"])
def test_the_last_number_of_a_reply_that_was_cut_is_no_verdict(reply: str) -> None:
    """`Score: 9` may have been going to be 95; a verdict with text behind it is complete."""
    assert parse_reply(reply, cut=True).value is None
    assert parse_reply("95\n\nExplanation: the ans", cut=True) == Score(value=95.0)


@pytest.mark.parametrize(
    "part", ["score ", "((((", "my the ", "I give it the a ", "1, ", "- ", '"', "1\n", "not ", "<think>"]
)
def test_a_long_hostile_reply_takes_no_time(part: str) -> None:
    """Reading is linear; a judge that repeats itself cannot hang a run (this test would take minutes)."""
    parse_reply(part * 5000)
