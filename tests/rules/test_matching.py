"""Which rule holds: all that it says must, the first one decides, and what is not known holds for none."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from neuralrouting.rules import RuleFacts, read_rules

FRIDAY_NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
FACTS = RuleFacts(
    FRIDAY_NOON,
    task="coding",
    complexity=6.0,
    risk="legal",
    user="anna",
    feature="search/web",
    key="0aB3dE6fG9hJ",
    team="red",
    model="openai/gpt-4o",
    prompt_tokens=1000,
    text="Please check my Credit\nCARD, thanks",
)


def holds(when: str, facts: RuleFacts = FACTS) -> bool:
    rules = read_rules(f"- name: it\n  when: {{{when}}}\n  then: {{mode: cost}}\n")
    return rules.first(facts) is not None


def at(text: str) -> RuleFacts:
    return replace(FACTS, at=datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("task: coding", True), ("task: [qa, coding]", True), ("task: qa", False),
        ("complexity: 6..7", True), ("complexity: 5..6", True), ("complexity: 6.1..", False),
        ("complexity: ..5.9", False),
        ("risk: any", True), ("risk: none", False), ("risk: legal", True), ("risk: [medical, financial]", False),
        ("user: anna", True), ("user: Anna", False), ("user: [bob, anna]", True), ("user: '*'", True),
        ("feature: search/*", True), ("feature: '*/web'", True), ("feature: 's*h/*b'", True), ("feature: '*x*'", False),
        ("feature: 'search/web*web'", False), ("key: 0aB*", True), ("team: [blue, re*]", True), ("team: blue", False),
        ("model: openai/*", True), ("model: gpt-4o", False),
        ("prompt_tokens: 1000..", True), ("prompt_tokens: ..1000", True), ("prompt_tokens: 1001..", False),
        ("tools: false", True), ("tools: true", False), ("images: true", False), ("json: false", True),
        ("stream: false", True), ("stream: true", False),
        ("keyword: card", True), ("keyword: credit card", True), ("keyword: car", False),
        ("keyword: [x, thanks]", True),
        ("keyword: 'check my'", True), ("task: coding, user: bob", False), ("task: coding, user: anna", True),
    ],
)  # fmt: skip
def test_a_rule_holds_when_all_that_it_says_does(when: str, expected: object):
    assert holds(when) is expected


@pytest.mark.parametrize(
    "when",
    ["task: coding", "complexity: 0..10", "complexity: ..10", "user: '*'", "feature: '*'", "key: '*'", "team: 'r*'",
     "model: '*'", "risk: any", "keyword: card"],
)  # fmt: skip
def test_what_is_not_known_holds_for_no_rule(when: str):
    assert not holds(when, RuleFacts(FRIDAY_NOON))


def test_the_first_rule_that_holds_decides():
    rules = read_rules(
        "- {name: a, when: {task: qa}, then: {mode: cost}}\n"
        "- {name: b, when: {task: coding}, then: {mode: speed}}\n"
        "- {name: c, then: {mode: quality}}\n"
    )
    decided = [rules.first(replace(FACTS, task=task)) for task in ("qa", "coding", "chat")]
    assert [rule.name for rule in decided if rule is not None] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("straße", "In der STRASSE", True),
        ("c++", "I like C++.", True),
        ("c++", "I like c+ +", False),
        ("機密", "これは機密です", True),
        ("titan", "titanic", False),
        ("titan", "project-titan!", True),
        ("titan", "über_titan", False),
    ],
)
def test_keywords_are_whole_words_in_capitals_or_not(keyword: str, text: str, expected: object):
    assert holds(f"keyword: '{keyword}'", replace(FACTS, text=text)) is expected


def test_of_a_very_long_text_both_ends_are_searched():
    filler = "lorem " * 30_000
    assert holds("keyword: titan", replace(FACTS, text=f"titan {filler}"))
    assert holds("keyword: titan", replace(FACTS, text=f"{filler} titan"))
    assert not holds("keyword: titan", replace(FACTS, text=f"{filler} titan {filler}"))


@pytest.mark.parametrize(
    ("when", "moment", "expected"),
    [
        ("days: [mon, fri]", "2026-11-27T23:59+00:00", True),
        ("days: [mon, fri]", "2026-11-28T00:00+00:00", False),
        ('hours: "09:00-18:00"', "2026-11-27T09:00+00:00", True),
        ('hours: "09:00-18:00"', "2026-11-27T17:59+00:00", True),
        ('hours: "09:00-18:00"', "2026-11-27T18:00+00:00", False),
        ('hours: "18:00-24:00"', "2026-11-27T23:59+00:00", True),
        ('hours: "09:00-18:00", zone: Europe/Berlin', "2026-11-27T08:00+00:00", True),
        ('hours: "09:00-18:00", zone: Europe/Berlin', "2026-07-27T07:00+00:00", True),  # summer time
        ('hours: "09:00-18:00", zone: Europe/Berlin', "2026-11-27T07:59+00:00", False),
        ('days: fri, hours: "22:00-06:00"', "2026-11-27T22:00+00:00", True),
        ('days: fri, hours: "22:00-06:00"', "2026-11-28T05:59+00:00", True),  # Friday's night
        ('days: fri, hours: "22:00-06:00"', "2026-11-28T06:00+00:00", False),
        ('days: fri, hours: "22:00-06:00"', "2026-11-27T05:00+00:00", False),  # Thursday's night
        ('days: sun, hours: "22:00-06:00"', "2026-11-30T05:00+00:00", True),  # ends on Monday
        ('days: sun, hours: "22:00-06:00"', "2026-11-30T06:00+00:00", False),
        ("days: mon, zone: Pacific/Auckland", "2026-11-29T12:00+00:00", True),
    ],
)
def test_a_rule_has_its_days_and_hours_by_its_own_clock(when: str, moment: str, expected: object):
    assert holds(f"time: {{{when}}}", at(moment)) is expected


def test_without_the_text_it_is_known_which_rule_might_hold():
    rules = read_rules(
        "- {name: a, when: {task: qa}, then: {mode: cost}}\n"
        "- {name: b, when: {user: anna, keyword: iban}, then: {mode: speed}}\n"
        "- {name: c, when: {user: '*'}, then: {mode: quality}}\n"
    )
    assert rules.needs_text
    unread = replace(FACTS, text=None)
    perhaps, sure = rules.first_unread(unread), rules.first_unread(replace(unread, user="bob"))
    assert perhaps is not None
    assert perhaps.name == "b"
    assert sure is not None
    assert sure.name == "c"
    assert rules.first(replace(unread, user="bob")) == sure
