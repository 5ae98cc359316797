"""Rules out of their text: what is taken, and how every mistake is told."""

import pytest

from neuralrouting.engine import classify
from neuralrouting.rules import RuleSet, RulesRejected, Then, When, read_rules, write_rules
from neuralrouting.rules.values import DOMAINS, TASKS, Clock, Span

EVERYTHING = """\
# All that can be said.
- name: "Tricky: quotes # and a colon"
  when:
    task: [coding, reasoning]
    complexity: 4..8.5
    risk: none
    user: "team-*"
    feature: search
    key: [0aB3dE6fG9hJ, 1aB3dE6fG9hJ]
    team: "*"
    model: gpt-4*
    prompt_tokens: 1000..
    tools: true
    images: false
    json: true
    stream: false
    keyword: [credit  card, IBAN]
    time: {days: [fri, mon], hours: "22:00-06:00", zone: Europe/Berlin}
  then: {mode: auto, tier: economy, cascade: true}
- name: named
  then:
    model: openai/gpt-4o
    mode: cost
    fallback: [anthropic/claude-sonnet, local/smollm2]
- name: blocked
  when: {risk: [medical, legal]}
  then: {block: "ask a doctor"}
"""


def rule(when: str = "", then: str = "mode: cost") -> str:
    """Return a rule whose `when` is in line 2 and whose `then` is in line 3."""
    middle = f"  when: {{{when}}}\n" if when else "  # always\n"
    return f"- name: x\n{middle}  then: {{{then}}}\n"


def refusal(text: str) -> tuple[int, int, str]:
    with pytest.raises(RulesRejected) as caught:
        read_rules(text)
    error = caught.value
    assert str(error) == f"line {error.line}, column {error.column}: {error.message}"
    return error.line, error.column, error.message


def test_all_that_can_be_said_is_read():
    first, second, third = read_rules(EVERYTHING).rules
    assert (first.name, first.line) == ("Tricky: quotes # and a colon", 2)
    assert first.when == When(
        task=("coding", "reasoning"),
        complexity=Span(4, 8.5),
        risk=("none",),
        user=("team-*",),
        feature=("search",),
        key=("0aB3dE6fG9hJ", "1aB3dE6fG9hJ"),
        team=("*",),
        model=("gpt-4*",),
        prompt_tokens=Span(1000, None),
        tools=True,
        images=False,
        json=True,
        stream=False,
        keyword=("credit card", "IBAN"),
        time=Clock((0, 4), 22 * 60, 6 * 60, "Europe/Berlin"),
    )
    assert first.then == Then(mode="auto", tier="economy", cascade=True)
    assert second.when == When()
    assert second.then == Then(
        model="openai/gpt-4o", mode="cost", fallback=("anthropic/claude-sonnet", "local/smollm2")
    )
    assert third.then == Then(block="ask a doctor")


def test_equal_texts_are_equal_rules():
    assert read_rules(EVERYTHING) == read_rules(EVERYTHING)
    assert hash(read_rules(EVERYTHING)) == hash(read_rules(EVERYTHING))
    assert read_rules(EVERYTHING) != read_rules(rule())


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n", "---\n", "[]"])
def test_a_text_without_rules_is_no_rules(text: str):
    assert read_rules(text) == RuleSet.EMPTY
    assert not read_rules(text)


def test_the_tasks_of_rules_are_those_of_the_classifier():
    assert {name for name, _ in classify("hello").probabilities} == set(TASKS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_domain_of_risk_can_be_said(domain: str):
    assert read_rules(rule(f"risk: {domain}")).rules[0].when.risk == (domain,)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (rule("task: poetry"), 2, 16, 'unknown task "poetry"; known: qa, chat,'),
        (rule("task: codign"), 2, 16, 'unknown task "codign"; did you mean "coding"? known: qa'),
        (rule("task: [qa, chat, qa]"), 2, 27, '"qa" is in this list twice'),
        (rule("task: []"), 2, 16, "a list here has 1 to 50 values"),
        (rule("tsk: qa"), 2, 10, '`when` has no field "tsk"; did you mean "task"? known: task, complexity'),
        (rule("risk: [none, legal]"), 2, 16, "stand alone"),
        (rule('complexity: ">6"'), 2, 22, "a range is wanted here, both ends of which are in it: 4..8, 6.1.. or ..3"),
        (rule("complexity: 5"), 2, 22, "a range is wanted"),
        (rule('complexity: ".."'), 2, 22, "a range is wanted"),
        (rule("complexity: 8..4"), 2, 22, "nothing is within 8..4"),
        (rule("complexity: 4..11"), 2, 22, "this goes up to 10"),
        (rule("prompt_tokens: 1.5..2"), 2, 25, "tokens are whole"),
        (rule("tools: yes"), 2, 17, "true or false is wanted here"),
        (rule('tools: "true"'), 2, 17, "true or false is wanted here"),
        (rule("user: {a: b}"), 2, 16, "one text is wanted here"),
        (rule('user: ""'), 2, 16, "one printable line of 1 to 200"),
        (rule('user: "a\\tb"'), 2, 16, "one printable line"),
        (rule("time: {zone: UTC}"), 2, 16, "`time` needs days, hours or both"),
        (rule("time: {days: monday}"), 2, 23, 'unknown day "monday"; did you mean "mon"?'),
        (rule('time: {hours: "9-17"}'), 2, 24, 'hours are written "09:00-18:00"'),
        (rule('time: {hours: "09:00-24:01"}'), 2, 24, "a day goes from 00:00 to 24:00"),
        (rule('time: {hours: "09:00-09:00"}'), 2, 24, "end when they begin"),
        (rule("time: {days: mon, zone: Europe/Berln}"), 2, 34, 'did you mean "Europe/Berlin"?'),
        (rule("time: {days: mon, zone: ../../etc/passwd}"), 2, 34, "no time zone is named"),
        (rule("time: {day: mon}"), 2, 17, '`time` has no field "day"'),
        (rule("time: mon"), 2, 16, "`time` has fields here: days, hours, zone"),
        (rule(then="mode: cots"), 3, 16, 'unknown mode "cots"; did you mean "cost"? known: auto, cost, quality, speed'),
        (rule(then="tier: gold"), 3, 16, 'unknown tier "gold"; known: economy, medium, premium, fast'),
        (rule(then="block: no, mode: cost"), 3, 27, "a rule that blocks orders nothing else: take `mode` or `block`"),
        (rule(then="mode: speed, cascade: true"), 3, 32, "`cascade` is of mode auto; mode speed has none"),
        (rule(then="fallback: a"), 3, 20, "`fallback` says what stands in for `model`"),
        (rule(then="model: a, fallback: [b, a]"), 3, 30, '"a" is the model that it would stand in for'),
        (rule(then="model: a, tier: fast"), 3, 26, "so `tier` orders nothing"),
        (rule(then="model: a, cascade: false"), 3, 29, "so `cascade` orders nothing"),
        (rule(then="model: auto"), 3, 17, '"auto" is no model'),
        ("- name: x\n  when: {}\n  then: {mode: cost}", 2, 9, "`when` says nothing"),
        ("- name: x\n  then: {}", 2, 9, "`then` says nothing"),
        ("- name: x\n", 1, 3, "this rule has no `then`"),
        ("- then: {mode: cost}\n", 1, 3, "this rule has no `name`"),
        ("- name: x\n  name: y\n  then: {mode: cost}", 2, 3, '"name" is here twice; the first is in line 1'),
        (rule() + rule(), 4, 3, 'a rule "x" stands in line 1 already'),
        ("rules:\n- name: x", 1, 1, "rules are a list"),
        ("- mode: cost\n", 1, 3, 'a rule has no field "mode"; known: name, when, then'),
        ("- just text\n", 1, 3, "a rule has fields here: name, when, then"),
        ("- [x]: y\n", 1, 3, "the name of a field must be a word"),
        ("- name: &a x\n", 1, 9, "anchors (&) and aliases (*) are not taken"),
        ("- name: *a\n", 1, 9, "anchors (&) and aliases (*) are not taken"),
        ("- !!python/object:os.system x\n", 1, 3, "tags are not taken"),
        ("- name: x\n  when: [[[[[[[[]]]]]]]]\n", 2, 13, "this is nested too deep"),
        ("- name: x\n--- \n- name: y\n", 2, 1, "only one document"),
        ("- name: x\n  then: {mode: cost\n", 2, 1, "not YAML: "),
        ("- name: x\n\tthen: {mode: cost}\n", 2, 1, "not YAML: "),
        ('- name: "\\0"\n', 1, 9, "the character U+0000 cannot stand in rules"),
        ('- "a\\nb": c\n', 1, 3, "the name of a field must be a word"),
        ("- name: a\n  then: {block: \x07}\n", 2, 17, "the character U+0007 cannot stand in rules"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(text: str, line: int, column: int, words: str):
    at_line, at_column, message = refusal(text)
    assert words in message
    assert at_line == line
    assert at_column == column or "not YAML" in words


def test_a_model_that_cannot_be_reached_is_told_with_what_could_be_meant():
    def missing(name: str) -> str | None:
        return None if name == "gpt-4o" else f"no model is named {name!r}; did you mean 'gpt-4o'?"

    assert read_rules(rule(then="model: gpt-4o"), missing)
    with pytest.raises(RulesRejected) as caught:
        read_rules(rule(then="model: gpt-4o, fallback: [gpt4o]"), missing)
    assert str(caught.value) == "line 3, column 36: no model is named 'gpt4o'; did you mean 'gpt-4o'?"


def test_sizes_are_bounded():
    one = "- {{name: r{0}, then: {{mode: cost}}}}\n"
    assert len(read_rules("".join(one.format(n) for n in range(200))).rules) == 200
    assert refusal("".join(one.format(n) for n in range(201)))[::2] == (201, "there may be 200 rules")
    assert "up to 64 KB" in refusal("#" * 65_537)[2]
    assert "up to 64 KB" in refusal("#" + "é" * 40_000)[2]
    words = ", ".join(f"w{n}" for n in range(50))
    several = "".join(f"- {{name: r{n}, when: {{keyword: [{words}]}}, then: {{mode: cost}}}}\n" for n in range(5))
    assert refusal(several)[::2] == (5, "there may be 200 keywords in all rules together")


def test_rules_that_are_written_read_as_the_same_again():
    rules = read_rules(EVERYTHING).rules
    text = write_rules(rules)
    assert [(r.name, r.when, r.then) for r in read_rules(text).rules] == [(r.name, r.when, r.then) for r in rules]
    assert write_rules(read_rules(text).rules) == text
