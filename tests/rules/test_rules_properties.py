"""Whatever somebody writes: reading never crashes, tells a line of the text, and what is read can be written again."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.rules import RuleFacts, RuleSet, RulesRejected, read_rules, write_rules
from neuralrouting.rules.conditions import READERS
from neuralrouting.rules.values import DAYS, DOMAINS, MODES, TASKS, TIERS, Then

WORDS = ("name", "when", "then", "rules", "hours", "days", "zone", *READERS, *Then.__struct_fields__, *TASKS, *MODES)
_word = st.sampled_from(WORDS)
_line = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip()) and text.isprintable()
)
_leaf = _word | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_trees = st.recursive(
    _leaf, lambda kids: st.lists(kids, max_size=4) | st.dictionaries(_word | st.text(max_size=4), kids, max_size=4)
)
_yamlish = st.text(st.sampled_from(list("-:{}[]#&*!|>'\"%@`?, \n\tax0.~")), max_size=80)


def within(text: str) -> None:
    """Read a text; what is refused must be told at a place that there is."""
    try:
        rules = read_rules(text)
    except RulesRejected as error:
        refused = error
    else:
        same_again(rules)
        return
    assert 1 <= refused.line <= max(1, len(text.splitlines()))
    assert refused.column >= 1
    assert "\n" not in refused.message


def same_again(rules: RuleSet) -> None:
    again = read_rules(write_rules(rules.rules))
    assert [(r.name, r.when, r.then) for r in again.rules] == [(r.name, r.when, r.then) for r in rules.rules]


@given(st.text(max_size=200) | _yamlish)
def test_any_text_is_read_or_refused_with_a_line_of_it(text: str):
    within(text)


@given(_trees, st.booleans())
def test_any_tree_is_read_or_refused_with_a_line_of_it(tree: object, flow: object):
    within(yaml.safe_dump(tree, default_flow_style=bool(flow), allow_unicode=True, sort_keys=False))


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3, unique=True)


def span(least: int, most: int) -> st.SearchStrategy[str]:
    ends = st.tuples(st.integers(least, most), st.integers(least, most)).map(sorted)
    return ends.map(lambda two: f"{two[0]}..{two[1]}") | st.integers(least, most).map(lambda low: f"{low}..")


_minute = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
_hours = st.tuples(_minute, _minute).filter(lambda two: two[0] != two[1]).map("-".join)
_times = st.fixed_dictionaries(
    {"days": some(st.sampled_from(DAYS))},
    optional={"hours": _hours, "zone": st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"])},
)
_keyword = _line.filter(lambda text: bool("".join(text.split())))
_whens: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "task": some(st.sampled_from(TASKS)),
        "complexity": span(0, 10),
        "risk": st.sampled_from(["none", "any"]) | some(st.sampled_from(DOMAINS)),
        "prompt_tokens": span(0, 10**9),
        "keyword": st.lists(_keyword, min_size=1, max_size=3, unique_by=lambda text: " ".join(text.split())),
        "time": _times,
        **{name: some(_line) for name in ("user", "feature", "key", "team", "model")},
        **dict.fromkeys(("tools", "images", "json", "stream"), st.booleans()),
    },
)
_model = _line.filter(lambda name: name != "auto")
_thens: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries({"block": _line}),
    st.lists(_model, min_size=1, max_size=4, unique=True).map(
        lambda names: {"model": names[0], **({"fallback": names[1:]} if names[1:] else {})}
    ),
    st.fixed_dictionaries({"mode": st.sampled_from(MODES)}, optional={"tier": st.sampled_from(TIERS)}),
    st.fixed_dictionaries({"mode": st.just("auto")}, optional={"cascade": st.booleans()}),
)
_rules = st.fixed_dictionaries({"name": _line, "then": _thens}, optional={"when": _whens.filter(bool)})


@given(st.lists(_rules, max_size=5, unique_by=lambda rule: rule["name"]))
def test_good_rules_are_read_and_what_is_written_of_them_reads_the_same(told: list[Any]):
    text = yaml.safe_dump(told, allow_unicode=True, sort_keys=False)
    rules = read_rules(text)
    assert [rule.name for rule in rules.rules] == [rule["name"] for rule in told]
    assert rules == read_rules(text)
    same_again(rules)


@given(st.text("ab*", min_size=1, max_size=8), st.text("ab", min_size=1, max_size=10))
def test_a_star_stands_for_any_characters_as_in_a_shell(glob: str, user: str):
    rules = read_rules(f"- name: x\n  when: {{user: '{glob}'}}\n  then: {{mode: cost}}\n")
    held = rules.first(RuleFacts(datetime.now(UTC), user=user)) is not None
    assert held is fnmatchcase(user, glob)
