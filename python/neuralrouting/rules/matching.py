"""Whether a rule holds for a request: every rule becomes a few quick questions, asked in the order of the list."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from operator import methodcaller
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from neuralrouting.rules.values import DAY_MINUTES, Clock, Rule, RuleFacts, Span, When

SEARCHED_CHARS: Final = 100_000
"""How much of a text is searched for keywords, half at its beginning and half at its end: rules must not hold up other
requests, however long a prompt is."""
WEEK_MINUTES: Final = 7 * DAY_MINUTES
# Scripts that put no space between words: there a keyword may stand inside of a longer run of letters.
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_SEEN: Final = (
    "tools", "images", "json", "stream", "task", "risk", "complexity", "prompt_tokens",
    "user", "feature", "key", "team", "model",
)  # fmt: skip
"""What questions are about, in the order in which `_values` tells it and in which they are asked, quick ones first."""
_TEXTS: Final = _SEEN[8:]
_Question = tuple[int, Callable[[Any], bool]]
"""A place in `_values`, and what must be true of the value there; mostly a method of the language, not of ours, since
fifty rules are to take less than 20 us."""
_Words = tuple[tuple[str, re.Pattern[str]], ...]
"""For each keyword what must stand in the text before it is worth to look for the words themselves."""
_Asked = tuple[Rule, tuple[_Question, ...], tuple[str, bytes] | None, _Words]
"""A rule as it is asked: its questions, zone and minutes of its week, its keywords."""


class RuleSet:
    """The rules of an account, in their order. Equal where all rules are."""

    __slots__ = ("_asked", "_zones", "rules")
    EMPTY: ClassVar["RuleSet"]

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self.rules: Final = rules
        self._asked: tuple[_Asked, ...] = tuple((rule, *_compiled(rule.when)) for rule in rules)
        self._zones = {rule.when.time.zone: _zone(rule.when.time.zone) for rule in rules if rule.when.time}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuleSet) and self.rules == other.rules

    def __hash__(self) -> int:
        return hash(self.rules)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def needs_text(self) -> bool:
        """Whether some rule asks for words of the text."""
        return any(rule.when.keyword for rule in self.rules)

    @property
    def needs_shape(self) -> bool:
        """Whether some rule asks for tools, images or JSON."""
        return any(
            flag is not None for rule in self.rules for flag in (rule.when.tools, rule.when.images, rule.when.json)
        )

    def first(self, facts: RuleFacts) -> Rule | None:
        """Return the first rule that holds, None where none does."""
        return self._search(facts, unread=False)

    def first_unread(self, facts: RuleFacts) -> Rule | None:
        """Return the first rule that holds as far as can be told without the text.

        Where that one asks for keywords, nobody can tell which rule holds; else it is the one that `first` returns.
        """
        return self._search(facts, unread=True)

    def _search(self, facts: RuleFacts, *, unread: bool) -> Rule | None:
        if not self._asked:
            return None
        values, minutes, text = _values(facts), dict[str, int](), None
        for rule, questions, time, words in self._asked:
            for place, holds in questions:
                if not holds(values[place]):
                    break
            else:
                if time is not None and not time[1][self._minute(time[0], facts.at, minutes)]:
                    continue
                if not words or unread:
                    return rule
                if text is None:
                    text = _folded(facts.text or "")
                if _stands(words, text):
                    return rule
        return None

    def _minute(self, zone: str, at: datetime, minutes: dict[str, int]) -> int:
        """Return the minute of the week by the clocks of a zone; `minutes` keeps those that were asked for."""
        minute = minutes.get(zone)
        if minute is None:
            there = at.astimezone(self._zones[zone])
            minute = minutes[zone] = there.weekday() * DAY_MINUTES + there.hour * 60 + there.minute
        return minute


RuleSet.EMPTY = RuleSet()


def _zone(name: str) -> tzinfo:
    """Return a time zone; UTC needs no file, and there are systems without any."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _values(facts: RuleFacts) -> tuple[Any, ...]:
    """Return what questions are about: a complexity in tenths, -1 for none; a text that is missing is empty."""
    return (
        facts.has_tools,
        facts.has_images,
        facts.json_mode,
        facts.stream,
        facts.task,
        facts.risk,
        -1 if facts.complexity is None else round(10 * facts.complexity),
        facts.prompt_tokens,
        facts.user or "",
        facts.feature or "",
        facts.key or "",
        facts.team or "",
        facts.model or "",
    )


def _compiled(when: When) -> tuple[tuple[_Question, ...], tuple[str, bytes] | None, _Words]:
    time = None if when.time is None else (when.time.zone, _week(when.time))
    return tuple(_questions(when)), time, tuple(_word(word.casefold()) for word in when.keyword)


def _questions(when: When) -> list[_Question]:
    asked: dict[str, Callable[[Any], bool]] = {}
    for name in ("tools", "images", "json", "stream"):
        if (flag := getattr(when, name)) is not None:
            asked[name] = frozenset({flag}).__contains__
    if when.task:
        asked["task"] = frozenset(when.task).__contains__
    if when.risk:
        asked["risk"] = _risk(when.risk)
    if when.complexity is not None:
        asked["complexity"] = _within(when.complexity, 10)
    if when.prompt_tokens is not None:
        asked["prompt_tokens"] = _within(when.prompt_tokens, 1)
    asked |= {name: _named(told) for name in _TEXTS if (told := getattr(when, name))}
    return [(place, asked[name]) for place, name in enumerate(_SEEN) if name in asked]


def _risk(told: tuple[str, ...]) -> Callable[[Any], bool]:
    if told == ("any",):
        return bool
    return frozenset({None} if told == ("none",) else told).__contains__


def _within(span: Span, units: int) -> Callable[[int], bool]:
    low = 0 if span.low is None else round(units * span.low)
    if span.high is None:
        return low.__le__
    return range(low, round(units * span.high) + 1).__contains__


def _named(told: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the question whether a text is one of some, or has the parts of a glob."""
    exact = frozenset(text for text in told if "*" not in text)
    globs = tuple(tuple(text.split("*")) for text in told if "*" in text)
    if not globs:
        return exact.__contains__
    if not exact and all(len(glob) == 2 and glob[0] and not glob[1] for glob in globs):
        return methodcaller("startswith", tuple(glob[0] for glob in globs))
    return lambda text: text in exact or any(_fits(text, glob) for glob in globs)


def _fits(text: str, glob: tuple[str, ...]) -> bool:
    """Whether a text has the parts of a glob in their order; a regular expression can take for ever to say so."""
    first, *middle, last = glob
    if not text or len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


@lru_cache(maxsize=256)
def _week(clock: Clock) -> bytes:
    """Return for every minute of the week, from Monday 00:00, whether it is time (1) or not (0)."""
    week = bytearray(WEEK_MINUTES)
    length = (clock.end - clock.start) % DAY_MINUTES or DAY_MINUTES
    for day in clock.days:
        # Past midnight it is still part of the day on which it began; Sunday's night ends on Monday.
        begins = day * DAY_MINUTES + clock.start
        ends = min(begins + length, WEEK_MINUTES)
        week[begins:ends] = b"\1" * (ends - begins)
        week[: begins + length - ends] = b"\1" * (begins + length - ends)
    return bytes(week)


def _word(word: str) -> tuple[str, re.Pattern[str]]:
    """Return what to look for first of a folded keyword, and its pattern: whole words, apart by any white space."""
    before = r"(?<!\w)" if _bounded(word[0]) else ""
    after = r"(?!\w)" if _bounded(word[-1]) else ""
    parts = word.split()
    return max(parts, key=len), re.compile(before + r"\s+".join(re.escape(part) for part in parts) + after)


def _bounded(character: str) -> bool:
    return re.match(r"\w", character) is not None and _UNSPACED.match(character) is None


def _stands(words: _Words, text: str) -> bool:
    for part, pattern in words:  # noqa: SIM110  a generator takes as long as the search
        if part in text and pattern.search(text) is not None:
            return True
    return False


def _folded(text: str) -> str:
    """Return what is searched of a text, in the form in which keywords are compared."""
    if len(text) > SEARCHED_CHARS:
        half = SEARCHED_CHARS // 2
        text = f"{text[:half]}\n{text[-half:]}"
    return text.casefold()
