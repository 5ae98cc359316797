"""Rules out of their text: every mistake is told with its line, its column and what could have been meant."""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Final, NoReturn

from neuralrouting.rules import conditions
from neuralrouting.rules.matching import RuleSet
from neuralrouting.rules.tree import Fields, Items, Node, Place, Scalar, read_tree
from neuralrouting.rules.values import MODES, TIERS, Rule, Then, When

MAX_RULES: Final = 200
MAX_FALLBACKS: Final = 10
MAX_KEYWORDS: Final = 200
"""Of all rules together: every one may be looked for in every prompt."""
VIRTUAL: Final = "auto"

Missing = Callable[[str], str | None]
"""Says what is wrong with the name of a model, None where it can be reached."""


def read_rules(text: str, missing: Missing | None = None) -> RuleSet:
    """Read a list of rules; an empty text is none. `missing`, where it is given, is asked about every model.

    Raises RulesRejected, which says where the first mistake stands.
    """
    tree = read_tree(text)
    if tree is None:
        return RuleSet.EMPTY
    if not isinstance(tree, Items):
        tree.place.reject("rules are a list: begin each with `- name: ...`")
    if len(tree.items) > MAX_RULES:
        tree.items[MAX_RULES].place.reject(f"there may be {MAX_RULES} rules")
    rules = tuple(_rule(node, missing) for node in tree.items)
    _check_together(rules, tree)
    return RuleSet(rules)


def _rule(node: Node, missing: Missing | None) -> Rule:
    told = fields_of(node, ("name", "when", "then"), "a rule")
    for needed in ("name", "then"):
        if needed not in told:
            node.place.reject(f"this rule has no `{needed}`")
    name = conditions.text_of(told["name"], conditions.NAME_CHARS)
    when = _when(told["when"]) if "when" in told else When()
    return Rule(name, node.place.line, when, _then(told["then"], missing))


def _when(node: Node) -> When:
    told = fields_of(node, tuple(conditions.READERS), "`when`")
    if not told:
        node.place.reject("`when` says nothing: leave it out for a rule that always holds")
    return When(**{name: conditions.READERS[name](value) for name, value in told.items()})


def _then(node: Node, missing: Missing | None) -> Then:
    told = fields_of(node, Then.__struct_fields__, "`then`")
    if not told:
        node.place.reject("`then` says nothing: it needs a mode, tier, model, cascade or block")
    _check_sense({name: value.place for name, value in told.items()})
    then = Then(
        mode=conditions.word_of(told["mode"], MODES, "mode") if "mode" in told else None,
        tier=conditions.word_of(told["tier"], TIERS, "tier") if "tier" in told else None,
        model=_model(told["model"], missing) if "model" in told else None,
        fallback=_fallback(told["fallback"], missing) if "fallback" in told else (),
        cascade=conditions.flag_of(told["cascade"]) if "cascade" in told else None,
        block=conditions.text_of(told["block"], conditions.REASON_CHARS) if "block" in told else None,
    )
    if then.model in then.fallback:
        told["fallback"].place.reject(f'"{then.model}" is the model that it would stand in for')
    if then.cascade is not None and then.mode not in (None, "auto"):
        told["cascade"].place.reject(f"`cascade` is of mode auto; mode {then.mode} has none")
    return then


def _check_sense(places: Mapping[str, Place]) -> None:
    """Raise RulesRejected for orders that contradict each other."""
    if "block" in places and len(places) > 1:
        other = next(name for name in places if name != "block")
        places[other].reject(f"a rule that blocks orders nothing else: take `{other}` or `block` out")
    if "fallback" in places and "model" not in places:
        places["fallback"].reject("`fallback` says what stands in for `model`, and there is no `model` here")
    for other in ("tier", "cascade"):
        if "model" in places and other in places:
            places[other].reject(f"`model` says which one answers, so `{other}` orders nothing: take one of them out")


def _model(node: Node, missing: Missing | None) -> str:
    name = conditions.text_of(node)
    if name == VIRTUAL:
        node.place.reject('"auto" is no model: leave `model` out, or order `mode: auto`')
    wrong = missing(name) if missing is not None else None
    if wrong is not None:
        node.place.reject(wrong)
    return name


def _fallback(node: Node, missing: Missing | None) -> tuple[str, ...]:
    return conditions.several(node, lambda one: _model(one, missing), MAX_FALLBACKS)


def _check_together(rules: tuple[Rule, ...], tree: Items) -> None:
    """Raise RulesRejected for what is wrong with rules only beside each other."""
    lines: dict[str, int] = {}
    words = 0
    for rule, node in zip(rules, tree.items, strict=True):
        if rule.name in lines:
            node.place.reject(f'a rule "{rule.name}" stands in line {lines[rule.name]} already')
        lines[rule.name] = rule.line
        words += len(rule.when.keyword)
        if words > MAX_KEYWORDS:
            node.place.reject(f"there may be {MAX_KEYWORDS} keywords in all rules together")


def fields_of(node: Node, known: Collection[str], what: str) -> dict[str, Node]:
    """Return the fields of a mapping by name. Raises RulesRejected for others than those that are known."""
    if not isinstance(node, Fields):
        node.place.reject(f"{what} has fields here: {', '.join(known)}")
    for name, _ in node.pairs:
        if name.value not in known:
            _unknown(name, known, what)
    return {name.value: value for name, value in node.pairs}


def _unknown(name: Scalar, known: Collection[str], what: str) -> NoReturn:
    near = difflib.get_close_matches(name.value, list(known), n=1)
    hint = f' did you mean "{near[0]}"?' if near else ""
    name.place.reject(f'{what} has no field "{name.value[:40]}";{hint} known: {", ".join(known)}')
