"""Rules as text, which reads as the same rules again."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from neuralrouting.rules.values import DAY_MINUTES, DAYS, Clock, Rule, Span, Then, When


def write_rules(rules: Iterable[Rule]) -> str:
    """Write rules as YAML; they read as the same again, but for the lines they stand in."""
    return "\n".join(_rule(rule) for rule in rules)


def write_line(value: When | Then) -> str:
    """Write what is said in one half of a rule on one line, for reading; empty where nothing is."""
    return "; ".join(f"{name}: {text}" for name, text in _told(value))


def _rule(rule: Rule) -> str:
    when, then = _fields(rule.when), _fields(rule.then)
    middle = f"  when:{when}\n" if when else ""
    return f"- name: {_text(rule.name)}\n{middle}  then:{then}\n"


def _fields(value: When | Then) -> str:
    """Write the fields that say something, each on a line of its own."""
    return "".join(f"\n    {name}: {text}" for name, text in _told(value))


def _told(value: When | Then) -> list[tuple[str, str]]:
    default = type(value)()
    told = [(name, getattr(value, name)) for name in value.__struct_fields__]
    return [(name, _value(one)) for name, one in told if one != getattr(default, name)]


def _value(value: Any) -> str:  # noqa: ANN401  a field of `When` or `Then`
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Span):
        return f"{_number(value.low)}..{_number(value.high)}"
    if isinstance(value, Clock):
        return _clock(value)
    values: Sequence[str] = value
    return _text(values[0]) if len(values) == 1 else f"[{', '.join(_text(one) for one in values)}]"


def _clock(clock: Clock) -> str:
    parts: list[str] = []
    if len(clock.days) < len(DAYS):
        parts.append(f"days: [{', '.join(DAYS[day] for day in clock.days)}]")
    if (clock.start, clock.end) != (0, DAY_MINUTES) or not parts:
        hours = (f"{minute // 60:02}:{minute % 60:02}" for minute in (clock.start, clock.end))
        parts.append(f'hours: "{"-".join(hours)}"')
    if clock.zone != msgspec.structs.fields(Clock)[3].default:
        parts.append(f"zone: {_text(clock.zone)}")
    return f"{{{', '.join(parts)}}}"


def _text(text: str) -> str:
    """Write a text bare where it is a plain word, else in quotes: JSON's are YAML's too."""
    bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum() and text[0].isalpha()
    return text if bare else json.dumps(text, ensure_ascii=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
