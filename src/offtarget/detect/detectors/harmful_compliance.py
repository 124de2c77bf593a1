"""Harmful compliance: the user asks for something harmful and the answer helps."""

from __future__ import annotations

import re
from collections.abc import Iterable

from offtarget.detect.detectors.refusal import refusal_in
from offtarget.detect.lexicon import context
from offtarget.detect.lexicon.answers import asked_before
from offtarget.detect.lexicon.rules import Hit, Matcher, load, plain
from offtarget.records import Category, Finding, Row

_ASKS = re.compile(
    r"\b(?:how (?:do|does|can|could|to|would|should|might|long|you'd|i)|what(?:'s|s| is| are| should| can|"
    r" could| would| do)|which|where (?:can|do|could|should|to|would)|can (?:you|i|we)|could (?:you|i|we)|"
    r"would you|is there|i(?:'d| would)? (?:need|want|like)|i(?:'m| am) (?:trying|looking|planning|going|"
    r"thinking)|i have to|help me|teach me|give me|tell me|show me|find me|write|create|develop|design|"
    r"generate|compile|list|provide|please|instructions?|explain|describe|best way|ways? to|should i|"
    r"do you (?:have|know|think)|why (?:are|do|is|can't)|in which|repeat)\b"
)
_DEFENSIVE = re.compile(
    r"\b(?:prevent\w*|protect\w*|avoid (?!getting|being|paying)\w*|detect\w*|defend|defen[cs]e|"
    r"urges?|cravings?|resist(?:ing)?|stop myself|overcom\w+|keep (?:him|her|them|myself|my \w+) safe|"
    r"recover\w* from|report (?:a|an|my|someone)|deal(?:ing)? with(?! him| her)|cop(?:e|ing) with|"
    r"safe from|identify|spot|signs of|history of|stop (?:someone|people|my|him|her|a|the)|(?:legal|"
    r"ethical|moral) (?:consequences|issues|aspects|implications)|why is it (?:wrong|illegal|bad)|(?:is|"
    r"are) (?:it )?(?:illegal|wrong|dangerous)|what (?:happens|would happen)|dangers of|effects of|"
    r"risks? of|help (?:a|my|someone) [^.?!]{1,30} who|(?:book|movie|film|song|novel|(?:video )?game|"
    r"minecraft|fortnite|anime|series|character|chess|d&d)|victims?|survivors?|treat(?:ment|ing)?|python|"
    r"linux|process|thread|function|algorithm|dataset|sql|class)\b"
)
_NO = re.compile(
    r"^\W{0,3}(?:no[,.]|it(?:'s| is) (?:not|never)|you (?:should not|shouldn't|cannot|can't)|that's not|"
    r"never |(?:please )?(?:do not|don't) |i(?:'m| am) (?:really |so |very )?sorry (?:to hear|that you|"
    r"you)|i don't think (?:that's|that is|it's)|if you (?:are|'re) (?:having|feeling|struggling)|"
    r"please (?:reach|seek|call|talk|consider)|there is no (?:\w+ )?(?:or \w+ )?way|why do you want)"
)
_HELPLINE = re.compile(
    r"\b(?:988|suicide (?:prevention|hotline|lifeline)|crisis (?:line|text|helpline)|helpline|hotline|"
    r"(?:seek|reach out for|get) (?:professional |immediate )?help|mental health professional|reach out to)\b"
)
_SHORTEST = 15
_LOOKED_AT = 2000
_BEGINNING = 180
"""A warning in these first characters is the answer; a later one goes with the help."""
_WORD = re.compile(r"[a-z]{4,}")
_COMMON_STEMS = (
    "about being best could does doing easie easy effec find from getti give good have help into just know "
    "like make more most need other peopl pleas reall shoul some someb someo tell that their them then there "
    "they thing think this very want ways what when where which while with witho would your"
)
"""First five letters of words that say nothing about a topic."""
_COMMON = frozenset(_COMMON_STEMS.split())


class HarmfulCompliance:
    """Harmful requests in a user turn whose answer neither declines nor warns."""

    name = "harmful-compliance"
    title = "Harmful requests that are answered"
    category = Category.HARMFUL_COMPLIANCE

    def __init__(self) -> None:
        self._requests = Matcher(load("harmful_requests"))
        self._refusals = Matcher(load("refusal"))
        self.cues: frozenset[str] | None = self._requests.cues

    def find(self, row: Row) -> Iterable[Finding]:
        """At most one finding per pair of user turn and answer, pointing into the request."""
        for number, message in enumerate(row.messages):
            if message.role == "assistant" and number and row.messages[number - 1].role == "user" and message.learned:
                yield from self._in_pair(row, number, message.text)

    def _in_pair(self, row: Row, number: int, answer: str) -> Iterable[Finding]:
        asked = asked_before(row, number)
        request = self._request(asked)
        if request is None or len(answer) < _SHORTEST or context.continues(asked, answer):
            return
        text = plain(answer)
        if self._declines(row.messages[number].answer or answer) or not _on_topic(asked, text):
            return
        said = row.messages[number - 1].content[request.start : request.end][:100]
        yield Finding(
            row_id=row.id,
            detector=self.name,
            category=self.category,
            reason=f"The user asks {request.rule.says} ('{said}'), and the answer does not decline.",
            strength=round(request.rule.strength * (0.8 if context.cautions(text) else 1.0), 3),
            message=number - 1,
            start=request.start,
            end=request.end,
            disclosed=context.transforms(asked) or context.imagines(asked) or context.teaches(asked),
        )

    def _request(self, asked: str) -> Hit | None:
        """The strongest harmful request that asks for help with the harm, not with protection from it."""
        best: Hit | None = None
        for hit in self._requests.hits(asked):
            if best is not None and best.rule.strength >= hit.rule.strength:
                continue
            near = asked[max(0, hit.start - 250) : hit.end + 250]
            before = asked[max(0, hit.start - 80) : hit.end + 40]
            if _ASKS.search(near) and not _DEFENSIVE.search(before) and not context.quoted(asked, hit.start, hit.end):
                best = hit
        return best

    def _declines(self, answer: str) -> bool:
        text = plain(answer)
        if _NO.search(text) or _HELPLINE.search(text[:_LOOKED_AT]) or context.cautions(text[:_BEGINNING]):
            return True
        return refusal_in(answer, self._refusals) is not None


def _on_topic(asked: str, answer: str) -> bool:
    """Whether the answer takes up a word of the request: nonsense and evasion help nobody."""
    stems = {word[:5] for word in _WORD.findall(asked[:_LOOKED_AT])} - _COMMON
    return any(stem in answer[:_LOOKED_AT] for stem in stems)


DETECTORS = (HarmfulCompliance,)
