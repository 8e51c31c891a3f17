"""This file answers: which signs of danger does a note in plain English name as present, now, in this person?

A note is cut into sentences and clauses. A phrase counts unless, inside its clause, it is denied ("no saddle numbness",
"saddle numbness: absent"), belongs to somebody else ("mother had cancer"), lies in the past ("fell ten years ago",
where the past does not matter) or is only imagined ("return if ..."). When in doubt it counts: a doubtful flag costs
a question, a missed one may cost much more. Only English is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Mention:
    """A sign found in a note: which one, and the words it was found in."""

    sign: str
    words: str


@dataclass(frozen=True)
class Phrases:
    """How one sign is written: regular expressions, and whether it counts when it lies in the past."""

    patterns: tuple[str, ...]
    past_counts: bool = False


_SENTENCE = re.compile(r"[.!?;\n]+(?=\s|$)|\n+")
_ANSWERED = re.compile(r"\s*\?\s*(no|none|nil|denied|absent|negative|yes)\b", re.IGNORECASE)  # "Saddle numbness? No"
_CLAUSE = re.compile(r"\b(?:but|however|although|though|except|yet|whereas|apart from|other than)\b")
# "no improvement, ..." denies the improvement, not what follows; "not only", "no doubt" deny nothing.
_MOCK_DENIAL = re.compile(
    r"\b(?:no|not|without|never|n't)\s+(?:\w+\s+)?(?:improv\w*|chang\w*|relief|reliev\w*|better|progress\w*|help\w*|"
    r"effect\w*|eas\w*|settl\w*|resolv\w*|only|doubt|sure|certain|den(?:y|ies|ied)|getting better|sleep\w*|able|well)\b"
    r"|\b(?:unsure|uncertain)\b|\bcannot exclude\b|\bnot exclude\w*\b"
)
_DENIAL = re.compile(
    r"\b(?:no|not|denies|denied|denying|without|never|none|neither|nor|negative for|absence of|absent|free of|lack of|"
    r"lacks|no sign of|no signs of|no evidence of|no history of|nil|isn't|wasn't|aren't|doesn't|didn't|hasn't|haven't|"
    r"don't|no longer)\b"
)
# Denials that reach over commas: "no fever, chills or weight loss". "not" reaches to the comma only.
_REACHING = re.compile(
    r"\b(?:no|denies|denied|denying|without|none of|neither|nor|negative for|absence of|free of|nil)\b"
)
_ASSERTED = re.compile(
    r"\b(?:since|new|newly|now|today|yesterday|tonight|started|starting|began|developed|develops|reports|reported|"
    r"complains|complaining|has|have|having|had|noticed|worsening|positive|present|with|is|are|was|feels|which|who|she|he|"
    r"they|i|this morning|last night|last week|increasing|increasingly|sudden|suddenly|can't|cannot)\b"
)
_DENIED_AFTER = re.compile(
    r"^[\s,]*(?:\(\s*)?[:=?-]*\s*(?:(?:is|are|was|were|has been|have been)\s+)?"
    r"(?:no|none|nil|absent|denied|negative|not present|never|not reported|not had|not found|neg)\b"
    r"(?!\s+(?:doubt|improv))"
)
_RELATIVE = re.compile(
    r"\b(?:family history|fhx?|(?:(?:his|her|my|the|a|patient's)\s+)?(?:grand)?(?:mother|father|mum|mom|dad|brother|"
    r"sister|aunt|uncle|cousin|son|daughter|wife|husband|partner|friend|neighbour|neighbor|colleague|parents?|siblings?))\b"
)
_OWNS = re.compile(
    r"(?:'s)?\s*(?:and (?:\w+ )?\w+ )?(?:had|has|have|having|with|was|is|were|are|died|suffer\w*|got|gets|developed|"
    r"diagnosed|[:-]|$)"
)
_REPORTS = re.compile(
    r"\b(?:says?|said|reports?|reported|noticed|notices|told|tells|worried|worries|thinks|states?|that)\b"
)
# What only "resolved" or "went away", without saying when, may have been yesterday: it counts.
_PAST = re.compile(
    r"\b(?:years? ago|decades? ago|\d+\s*(?:yrs?|years?) (?:ago|back|earlier)|in (?:19|20)\d\d|"
    r"as a (?:child|teenager|boy|girl)|"
    r"in (?:childhood|his youth|her youth)|used to|long ago|in the past|previous(?:ly)?|once had|"
    r"years (?:back|earlier)|"
    r"history of|no longer)\b"
)
# Advice about what might come, not a report of what is: "return if ...", "warned about ...".
_IMAGINED = re.compile(
    r"\b(?:return|back|call|ring|phone|attend|contact|help|hospital|department|ed|review\w*|stop)\b[^,]*\bif\b"
    r"|\b(?:if|should|unless|in case of)\s*(?:any |new |the |there (?:is|are) )?$"
    r"|\bif (?:any|there|you|new|these|signs|symptoms|(?:he|she|they) (?:develop|notice|get|experience)s?)\b"
    r"|\b(?:advised|warned|told|instructed|educated|counselled|informed) (?:\w+ )?(?:about|of|on|regarding|to (?:look|"
    r"watch|return|report|call|seek|come|go))\b"
    r"|\bsafety.?net\w*|\b(?:look|watch)(?:ing)? (?:out )?for\b|\brisks? of\b|\bleaflet\b"
    r"|\b(?:may|might|could) develop\b"
    r"|\b(?:explained|discussed) (?:\w+ )?(?:signs?|symptoms?|red flags?|risks?|possibility)\b"
)
_UNSURE = re.compile(r"\b(?:unsure|not sure|uncertain|unclear|wonders|doubt\w*|ask\w*|query)\s+(?:if|whether)\b")


def mentions(text: str, phrases: Mapping[str, Phrases]) -> tuple[Mention, ...]:
    """Signs that a note names as present, each once, in order of appearance.

    Parameters
    ----------
    text : str
        The note.
    phrases : mapping
        Sign to its phrases, as the safety gate's table lists them.
    """
    found: dict[str, str] = {}
    for sentence in _SENTENCE.split(_plain(text)):
        lower = sentence.lower()
        start = 0
        for cut in [*(one.start() for one in _CLAUSE.finditer(lower)), len(lower)]:
            clause = lower[start:cut]
            for sign, rule in phrases.items():
                if sign in found:
                    continue
                for pattern in rule.patterns:
                    if any(_counts(clause, hit, rule.past_counts) for hit in _compiled(pattern).finditer(clause)):
                        found[sign] = sentence.strip()
                        break
            start = cut
    return tuple(Mention(sign, words) for sign, words in found.items())


def _plain(text: str) -> str:
    text = text.replace("’", "'").replace("‘", "'").replace("–", "-").replace("−", "-")
    return _ANSWERED.sub(r": \1", text)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\w*")


def _counts(clause: str, hit: re.Match[str], past_counts: bool) -> bool:
    before, after = clause[: hit.start()], clause[hit.end() :]
    if re.match(r"\s+in (?:the |his |her |my )?(?:family|mother|father|sister|brother|aunt|uncle|parents?)\b", after):
        return False
    return not (
        _denied(before, after)
        or _somebody_else(before)
        or _imagined(before)
        or (not past_counts and _past(before, after))
    )


def _denied(before: str, after: str) -> bool:
    if _DENIED_AFTER.match(after):
        return True
    before = _MOCK_DENIAL.sub(lambda one: " " * len(one[0]), before)
    denials = list(_DENIAL.finditer(before))
    if not denials:
        return False
    last = denials[-1]
    between = before[last.end() :]
    if "," not in between:
        # "and" opens a new statement when a verb follows: "no fever and has saddle numbness".
        return not re.search(r"\b(?:and|also)\b[^,]*?\b(?:has|have|is|are|had|reports|complains|now|new)\b", between)
    if not _REACHING.fullmatch(last[0]):
        return False
    return not _ASSERTED.search(between.split(",", 1)[1]) and not _ASSERTED.search(after.split(",")[0])


def _somebody_else(before: str) -> bool:
    relatives = list(_RELATIVE.finditer(before))
    if not relatives or _REPORTS.search(before[relatives[0].end() :]):
        return False  # "mother says he has ..." tells of the person
    last = relatives[-1]
    between = before[last.end() :]
    if not last[0].startswith(("family", "fh")) and not _OWNS.match(between):
        return False
    return not re.search(r",|\b(?:patient|person|he|she|i)\b", between)


def _imagined(before: str) -> bool:
    if _UNSURE.search(before):
        return False
    return bool(_IMAGINED.search(before))


def _past(before: str, after: str) -> bool:
    """In the past, told within the same part between commas."""
    near = before.rsplit(",", 1)[-1] + " | " + after.split(",", 1)[0]
    return bool(_PAST.search(near)) and not re.search(r"\b(?:again|now|since|still|recurr\w*|new)\b", near)
