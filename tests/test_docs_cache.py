"""The pages about the cache name every reason that a header can tell, and their examples are as they say."""

import re
from pathlib import Path

import pytest

from neuralrouting.engine import compare_questions

ROOT = Path(__file__).parent.parent
PAGES = "".join((ROOT / "docs" / name).read_text() for name in ("cache.md", "cache-rules.md"))
RULES = (ROOT / "docs" / "cache-rules.md").read_text()
NAMED = re.compile(r'=> "([a-z]+)"')
ROW = re.compile(r"^\| `([a-z]+)` \| (.+) \|$", re.MULTILINE)
PAIR = re.compile(r'"([^"]+\?)" / "([^"]+\?)"')
PLAIN = "What is the boiling point of mercury?"


def reasons() -> list[str]:
    """Every name that `x-nr-cache` can give as a reason."""
    code = "".join((ROOT / "rust/src" / name).read_text() for name in ("semantic.rs", "question.rs"))
    return sorted(set(NAMED.findall(code)) - {"none", "strict", "std"})


def rows(section: str) -> list[tuple[str, list[str]]]:
    """The rows of a section's table: a name, and the cells behind it."""
    text = RULES.partition(f"## {section}")[2].partition("\n## ")[0]
    return [(name, cells.split(" | ")) for name, cells in ROW.findall(text)]


def pairs(column: int) -> list[tuple[str, str, str]]:
    found = [(name, cells[column]) for name, cells in rows("Level 2") if len(cells) > column]
    return [(name, *pair) for name, cell in found for pair in PAIR.findall(cell)]


@pytest.mark.parametrize("reason", reasons())
def test_every_reason_is_documented(reason: str):
    assert f"`{reason}`" in PAGES


@pytest.mark.parametrize(("rule", "first", "second"), pairs(0))
def test_a_rule_tells_its_example_apart(rule: str, first: str, second: str):
    found = compare_questions(first, second)
    assert (found.unfit, found.canonical, found.rule) == (None, False, rule)


@pytest.mark.parametrize(("rule", "first", "second"), pairs(1))
def test_a_counter_example_of_a_rule_is_the_same_question(rule: str, first: str, second: str):
    found = compare_questions(first, second)
    assert (found.unfit, found.likeness) == (None, "same")


@pytest.mark.parametrize(("name", "cells"), rows("Texts that take no part"))
def test_a_text_that_takes_no_part_is_refused_by_its_name_and_the_other_is_not(name: str, cells: list[str]):
    _, example, other = cells
    for cell, why in ((example, name), (other, None)):
        if cell.startswith('"'):
            assert compare_questions(cell.strip('"'), PLAIN).unfit == why
