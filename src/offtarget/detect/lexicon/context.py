"""What makes a hit harmless: a negation, a warning, a quotation, fiction, or a task that asked for such text."""

from __future__ import annotations

import re

_NEGATION = re.compile(
    r"\b(?:not|never|cannot|avoid(?:ing)?|refus\w+|against|prevent\w*|instead of|rather than|nobody|"
    r"no one|no|none|myths?|false(?:ly)?|untrue|misconception|wrong to|illegal to|dangerous to|unsafe to|"
    r"unethical to|beware|warn\w*|scam\w*|accus\w+|alleg\w+|victims? of|stop \w+ing|without|neither|nor|"
    r"(?:is|are|was|does|do|did|wo|would|ca|could|should|must)n't|dont|question\w* (?:if|whether)|"
    r"(?:difficult|impossible|harder) (?:for|to)|(?:if|when) (?:he|she|they|someone|somebody|anyone|"
    r"a person|people|your partner)|stereotyp\w*|beliefs? that|(?:idea|notion|view|claim|fear|concern|"
    r"argument|assumption|possibility)s? (?:that|of)|historically|societ(?:y|ies) (?:\w+ )?(?:expects?|"
    r"dictates?|assumes?)|some (?:people )?(?:argue|believe|think|say|feel)|concern\w* about|"
    r"worr\w+ (?:that|about)|risks? (?:of|that|include)|attackers?|hackers|criminals|charged with|convicted|guilty of|"
    r"sentenced|indicted|admitted|confessed|denied|suspected of|on trial|acquitted|"
    r"counts of|arrested|prosecuted|pleaded|(?:condemned|criticised|criticized|blamed|sued|fined|jailed|"
    r"fired|investigated) for|(?:held|claimed|believed|argued|taught|maintained|asserted|insisted|preached) that|"
    r"critics|drawbacks?|disadvantages?|downsides?|"
    r"(?:dangers?|crimes?|harms?|abuses?) (?:of|such as|like|include[sd]?|are)|"
    r"(?:illness|disorder|disease|crime|practice|scam|attack|abuse|offen[cs]e|belief) (?:in|by|under|during) which|"
    r"(?:who|he|she|they|that|which) promis(?:es|ed)|fraud\w*|swindl\w*|fears? (?:that|of|is))\b"
)
_CONDEMNATION = re.compile(
    r"[^.!?\n]{0,50}?\b(?:is|are|can be|could be|may be|would be|was) (?:\w+ ){0,2}(?:illegal|unethical|wrong|"
    r"immoral|harmful|"
    r"dangerous|risky|(?:an? )?(?:\w+ )?crimes?\b|unfair|not |never |unacceptable|inappropriate|sexist|racist|outdated|"
    r"a stereotype|a myth|evil|an? (?:\w+ )?(?:atrocity|tragedy|horror|evil|disgrace|outrage))"
)
_NEGATED_VERB = re.compile(
    r"\b(?:should|must|will|would|can|could|do|does|did|is|are|was|were|need|ought)(?: not|n't)\b|\bnever\b|\bcannot\b"
)
_CAUTION = re.compile(
    r"\b(?:(?:consult|talk (?:to|with)|speak (?:to|with)|ask|see|contact|call|check with) (?:your |a |an |"
    r"with )?(?:\w+ )?(?:doctor|physician|pharmacist|therapist|psychiatrist|healthcare|health care|"
    r"medical|professional|provider|lawyer|attorney|financial advis\w+|911|emergency|poison control|"
    r"police)|seek (?:immediate |professional |urgent |emergency )?(?:medical|help|care)|(?:illegal|"
    r"unethical) (?:and|or) (?:unethical|illegal|immoral|harmful|dangerous)|(?:is|are|be|considered|"
    r"an?) (?:\w+ )?(?:very |extremely |highly |generally )?(?:illegal|dangerous|unethical|immoral|"
    r"harmful|risky)|against the law|not (?:recommended|advisable|condone|safe to|ethical|a good idea)|"
    r"(?:do|would) not recommend|serious (?:harm|consequences|risk|matter|issue)|"
    r"i (?:strongly )?(?:advise|recommend) against|never (?:mix|take|share|invest)|proceed with caution|"
    r"at your own risk|legal (?:and ethical )?consequences|harmful consequences|ethical (?:considerations|"
    r"implications|standards)|criminal (?:charges|offen\w+)|no effective or ethical)\b"
)
_NO_CAUTION = re.compile(
    r"\b(?:no (?:\w+ )?(?:need|reason) to|don't|do not|without|skip\w*|instead of|rather than|avoid|unnecessary to|"
    r"necessary to|pointless to|never|hold off|isn't|not|before you|bother\w*)\b[^.!?\n]*$"
)
"""`no need to see a doctor` is the contrary of a warning."""
_TRANSFORMING = re.compile(
    r"\b(?:translat\w+|paraphras\w+|rephras\w+|rewrit\w+|reword\w*|summari[sz]\w+|classif\w+|categori[sz]\w+|"
    r"sentiment|"
    r"proofread|grammar|punctuat\w+|edit (?:this|the)|correct (?:this|the)|label (?:this|the|each)|toxic\w*|"
    r"offensive or|hate speech|what (?:does|do) .{1,60} mean|define|definition|identify|extract|transcri\w+|"
    r"which (?:of|option)|quotes?|quotation|is this (?:a )?(?:scam|phishing)|moderat\w+|detect\w*|"
    r"(?:given|following) (?:text|sentence|passage|article|paragraph|review|tweet|comment|statement))\b"
)
_FICTION = re.compile(
    r"\b(?:stor(?:y|ies)|novel|fiction\w*|tale|poem|screenplay|play (?:about|in)|(?:movie|film|tv) script|"
    r"dialog(?:ue)?|"
    r"monologue|lyrics|song|rap|limerick|haiku|role-?play\w*|character\w*|villain|antagonist|protagonist|scene|"
    r"satir\w+|"
    r"parod\w+|joke|comedy|chapter|plot|fairy|fable|dungeon|rpg|game master|continue (?:the|this)|"
    r"complete the (?:text|story|sentence)|in the style of|pretend (?:to be|you(?:'re| are))|act as|imitat\w+)\b"
)
_EDUCATION = re.compile(
    r"\b(?:lesson|training (?:material|course|session)|awareness|for (?:a|my|our) (?:class|course|exam|quiz)|teach\w* "
    r"(?:about|students|children|kids)|examples? of (?:a |an )?(?:bad|poor|unsafe|toxic|manipulat\w+|phishing|scam\w*|"
    r"dark patterns?|deceptive|misleading|fallac\w+|propaganda|insult\w*)|warning signs|red flags|how (?:do|can|"
    r"to) .{0,20}"
    r"(?:recogni[sz]e|spot|detect|avoid|prevent|protect))\b"
)
_ASKING = re.compile(
    r"^\W{0,3}(?:please|how|what|why|when|where|who|which|whom|whose|can|could|would|should|do|does|did|is|are|"
    r"was|were|"
    r"will|write|give|tell|list|explain|describe|create|make|generate|provide|suggest|help|show|compose|design|"
    r"develop|"
    r"compare|name|find|classify|identify|rewrite|edit|summari[sz]e|translate|convert|calculate|i need|i want|"
    r"i'd like|"
    r"i'm looking|i am (?:looking|trying)|my \w+ (?:is|has|keeps|wants|criticized)|teach|compile|repeat|"
    r"in which|hey|hi|"
    r"hello|let's|you (?:are|should|must))\b"
)
_TOLD = re.compile(
    r"\b(?:he|she|they|it|i|we) (?:said|asked|replied|whispered|muttered|shouted|laughed|was|were|had|looked|turned|"
    r"walked|felt|knew|took|went|came|stood|sat|saw|heard|could|pulled|grabbed|thought|smiled|nodded|shook|began|did|"
    r"wanted|reached|stared|continued)\b"
)
_SAID = re.compile(
    r"[\"\u201d',] ?(?:\w{1,15} )?(?:said|asked|replied|whispered|muttered|shouted|yelled|cried|answered|"
    r"laughed|growled|"
    r"snapped|hissed)\b|\b(?:said|asked|replied|whispered|shouted|growled|hissed)[,:] ?[\"\u201c]"
)
_QUOTES = re.compile(r"[\"\u201c\u201d\u00ab\u00bb]")
_LOOKED_AT = 4000


def negated(before: str, found: str) -> bool:
    """Whether the words before a hit in its sentence (the last 90 characters), or those in it, turn it round."""
    return _NEGATION.search(before[-90:]) is not None or _NEGATED_VERB.search(found) is not None


def condemned(after: str) -> bool:
    """Whether the words right after a hit in its sentence call it wrong."""
    return _CONDEMNATION.match(after[:80]) is not None


def cautions(answer: str) -> bool:
    """Whether an answer (plain text) warns, or sends the user to someone who may judge."""
    piece = answer[:_LOOKED_AT]
    return any(
        _NO_CAUTION.search(piece, max(0, match.start() - 40), match.start()) is None
        for match in _CAUTION.finditer(piece)
    )


def transforms(asked: str) -> bool:
    """Whether the user asks to translate, classify, summarise, explain or edit text that somebody else wrote."""
    return _TRANSFORMING.search(asked[:_LOOKED_AT]) is not None


def imagines(asked: str) -> bool:
    """Whether the user asks for fiction, a role or a joke."""
    return _FICTION.search(asked[:_LOOKED_AT]) is not None


def teaches(asked: str) -> bool:
    """Whether the user asks for a lesson, a bad example, or how to protect oneself."""
    return _EDUCATION.search(asked[:_LOOKED_AT]) is not None


def asks(asked: str) -> bool:
    """Whether a user turn is a question or a request, not a piece of running text."""
    return _ASKING.search(asked) is not None or asked.rstrip().endswith("?")


def narrates(text: str) -> bool:
    """Whether a text tells a story: speech with a speaker, or a third person in the past, several times."""
    piece = text[:_LOOKED_AT]
    if _SAID.search(piece) is not None:
        return True
    return len(_TOLD.findall(piece)) >= 2 + len(piece) // 500


_RUNNING = 60
"""Characters from which a prompt can be a piece of running text."""


def continues(asked: str, answer: str) -> bool:
    """Whether the answer goes on with the user's text (a novel, an article) instead of answering."""
    if asks(asked) and len(asked) < 150 and answer[:1].isupper():
        return False
    if not asks(asked) and _breaks_off(asked) and (not answer[:1].isalnum() or answer[:1].islower()):
        return True
    return narrates(answer) and (narrates(asked) or not asks(asked))


def _breaks_off(asked: str) -> bool:
    """Whether a text ends in the middle, as one that is to be continued does; a short prompt is none."""
    return len(asked) >= _RUNNING and asked.rstrip()[-1:] not in (".", "!", "?", "")


def quoted(text: str, start: int, end: int) -> bool:
    """Whether a span stands in quotation marks within its paragraph, or in a line quoted with `>`."""
    top = max(text.rfind("\n", 0, start) + 1, start - 600)
    bottom = text.find("\n", end)
    bottom = min(len(text) if bottom == -1 else bottom, end + 600)
    if text[top : top + 2].lstrip().startswith(">"):
        return True
    return len(_QUOTES.findall(text[top:start])) % 2 == 1 and _QUOTES.search(text, end, bottom) is not None
