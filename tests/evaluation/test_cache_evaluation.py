"""The evaluation of the cache: real parts, and figures counted by hand."""

import pytest

from neuralrouting.evaluation.cache import CacheRow, CacheTrial, Outcome, missed, report, wrong
from neuralrouting.intervals import wilson

pytestmark = pytest.mark.anyio

QUESTION = "How do migrating birds find their way across the ocean?"
SAME = CacheRow(QUESTION, QUESTION.lower(), 1, "case")
NUMBER = CacheRow("How many grams are in 20 ounces?", "How many grams are in 30 ounces?", 0, "number")
FAR = CacheRow(QUESTION, "Which cheese melts best on a pizza?", 1, "far")
NEAR = CacheRow(QUESTION, "How do migrating birds find their route across the ocean?", 1, "near")


class Points:
    """A second embedder with one direction for every text, or none."""

    id = "test:points"

    def __init__(self, vector: bytes | None) -> None:
        self.vector = vector
        self.texts: list[str] = []

    async def embed(self, text: str) -> bytes | None:
        self.texts.append(text)
        return self.vector


async def outcomes(trial: CacheTrial, *rows: CacheRow) -> list[Outcome]:
    return [await trial.judge(row) for row in rows]


async def test_a_pair_is_served_where_only_the_case_differs_and_not_where_a_number_does():
    same, number = await outcomes(CacheTrial(), SAME, NUMBER)
    assert (same.kind, same.similarity, same.reason) == ("canonical", 1.0, None)
    assert (number.kind, number.served) == (None, False)
    assert number.reason


async def test_the_very_same_text_is_an_exact_hit():
    (found,) = await outcomes(CacheTrial(), CacheRow(QUESTION, QUESTION, 1))
    assert found.kind == "exact"


async def test_no_pair_sees_the_answers_of_another():
    trial = CacheTrial()
    await outcomes(trial, CacheRow(QUESTION, "Which cheese melts best on a pizza?", 0))
    (found,) = await outcomes(trial, CacheRow("Who painted the ceiling of the chapel?", QUESTION.lower(), 0))
    assert (found.kind, found.reason) == (None, "none")


async def test_a_first_question_that_takes_no_part_is_the_reason_of_the_miss():
    (found,) = await outcomes(CacheTrial(), CacheRow("", QUESTION, 0))
    assert found.reason is not None
    assert found.reason.startswith("stored: ")


async def test_the_second_embedder_is_asked_only_about_what_comes_near():
    points = Points(b"\x7f\x00")
    trial = CacheTrial(threshold=0.999, verifier="off", decider=points)
    near, far = await outcomes(trial, NEAR, FAR)
    assert (near.kind, near.similarity) == ("semantic", 1.0)
    assert near.decide_us is not None
    assert (far.kind, far.decide_us) == (None, None)
    assert points.texts == [NEAR.a, NEAR.b, FAR.a]
    assert trial.embedder == "test:points"


async def test_a_second_embedder_without_an_answer_is_a_miss():
    (found,) = await outcomes(CacheTrial(threshold=0.999, verifier="off", decider=Points(None)), NEAR)
    assert (found.kind, found.reason) == (None, "undecided")


async def test_the_look_up_of_the_second_question_is_timed():
    trial = CacheTrial()
    told = report(await outcomes(trial, SAME, NUMBER), trial)
    assert 0 < told["lookup_us"]["p50"] <= told["lookup_us"]["p99"]
    assert "decide_us" not in told


def test_what_nobody_was_asked_has_no_time():
    told = report([outcome(same=1, kind="exact")], CacheTrial(decider=Points(None)))
    assert told["decide_us"] == {"n": 0, "p50": None, "p99": None}


# --- counting -------------------------------------------------------------------------------------------------------


def outcome(
    *, same: int, kind: str | None, category: str = "c", reason: str = "none", similarity: float = 1.0
) -> Outcome:
    row = CacheRow("a", "b", 1 if same else 0, category)
    if kind is None:
        return Outcome(row, None, None, reason, 10.0)
    return Outcome(row, kind, similarity, None, 20.0, 500.0 if kind == "semantic" else None)


MADE_UP = [
    outcome(same=1, kind="exact"),
    outcome(same=1, kind="canonical", category="d"),
    outcome(same=1, kind=None, reason="number"),
    outcome(same=0, kind="semantic", similarity=0.93),
    outcome(same=0, kind="canonical", category="d"),
    outcome(same=0, kind=None, category="only", reason="number"),
    outcome(same=0, kind=None, category="only", reason="wh"),
    outcome(same=0, kind=None, category="only", reason="number"),
]


def test_rates_are_of_their_own_kind_of_pair():
    told = report(MADE_UP, CacheTrial(decider=Points(None)))
    assert told["n"] == 8
    assert (told["hit_true"], told["hit_true_n"]) == (round(2 / 3, 6), 3)
    assert (told["wrong_false"], told["wrong_false_n"]) == (0.4, 5)
    assert told["wrong_false_interval"] == [round(bound, 6) for bound in wilson(2, 5)]
    assert told["by_kind"] == {
        "exact": {"true": 1, "false": 0}, "canonical": {"true": 1, "false": 1}, "semantic": {"true": 0, "false": 1},
    }  # fmt: skip
    assert told["refused"] == {"number": 3, "wh": 1}
    assert told["missed_true"] == {"number": 1}
    assert told["lookup_us"] == {"p50": 10.0, "p99": 20.0}
    assert told["decide_us"] == {"n": 1, "p50": 500.0, "p99": 500.0}


def test_a_category_says_which_pairs_it_holds():
    categories = report(MADE_UP, CacheTrial())["by_category"]
    assert list(categories) == ["c", "d", "only"]
    assert (categories["c"]["n"], categories["c"]["kind"], categories["c"]["served"]) == (3, "both", round(2 / 3, 6))
    assert (categories["d"]["hit_true"], categories["d"]["wrong_false"]) == (1.0, 1.0)
    only = categories["only"]
    assert (only["kind"], only["served"], only["wrong_false"], only["wrong_false_n"]) == ("different", 0.0, 0.0, 3)
    assert (only["hit_true"], only["hit_true_n"], only["hit_true_interval"]) == (None, 0, None)


def test_the_pairs_to_read_are_those_that_went_wrong():
    assert wrong(MADE_UP) == [
        {"a": "a", "b": "b", "category": "d", "kind": "canonical", "similarity": 1.0},
        {"a": "a", "b": "b", "category": "c", "kind": "semantic", "similarity": 0.93},
    ]
    assert missed(MADE_UP) == [{"a": "a", "b": "b", "category": "c", "reason": "number"}]
