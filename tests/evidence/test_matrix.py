"""The matrix: what is proven, what is refused, and what takes that back."""

import random

import msgspec
import pytest
from comparing import audits_of, verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.evidence.audits import Audit
from neuralrouting.evidence.judging import Judge
from neuralrouting.evidence.matrix import Cell, Matrix, MatrixSettings, rebuild

SETTINGS = MatrixSettings()
anything = st.lists(
    st.builds(
        Audit,
        candidate=st.sampled_from(["small", "mid"]),
        task=st.sampled_from(["qa", "coding", "chat"]),
        difference=st.sampled_from([-1.0, 0.0, 0.5, 1.0]),
        judged_ms=st.integers(0, 5),
        weight=st.sampled_from([0.25, 1.0]),
        propensity=st.sampled_from([0.01, 0.1, 1.0]),
        predicted=st.one_of(st.none(), st.floats(-1, 1)),
        version=st.sampled_from(["1", "2"]),
    ),
    max_size=80,
)


def test_nothing_is_known_without_audits():
    matrix = rebuild([], SETTINGS)
    assert matrix == Matrix()
    assert matrix.cell("small", "qa") == Cell("small", "qa")
    assert matrix.cell("small", "qa").state == "unproven"


def test_a_candidate_that_is_as_good_is_proven():
    cell = rebuild(audits_of(verdicts(300, 0.03)), SETTINGS).cell("small", "qa")
    assert cell.state == "proven"
    assert cell.n == 300
    assert cell.low < 0.03 < cell.high
    assert cell.needed == 0


def test_a_candidate_that_is_much_worse_is_refused_and_no_number_of_audits_would_prove_it():
    cell = rebuild(audits_of(verdicts(300, -0.25)), SETTINGS).cell("small", "qa")
    assert cell.state == "refused"
    assert cell.needed is None


def test_an_undecided_cell_says_how_many_audits_it_needs():
    cell = rebuild(audits_of(verdicts(60, -0.0)), SETTINGS).cell("small", "qa")
    assert cell.state == "unproven"
    assert cell.needed is not None
    assert 50 < cell.needed < 1000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=19), st.integers(0, 400))
def test_under_the_least_number_of_audits_a_cell_is_never_proven_nor_refused(own: list[float], elsewhere: int):
    audits = audits_of(own) + audits_of([1.0] * elsewhere, task="coding") + audits_of([-1.0] * elsewhere, task="chat")
    cell = rebuild(audits, SETTINGS).cell("small", "qa")
    assert cell.state == "unproven"
    assert cell.sent == 0


def test_feedback_counts_for_as_much_as_it_weighs():
    audits = [msgspec.structs.replace(audit, weight=0.25) for audit in audits_of([1.0] * 79)]
    assert rebuild(audits, SETTINGS).cell("small", "qa").state == "unproven"
    assert rebuild([*audits, audits[0]], SETTINGS).cell("small", "qa").state == "proven"


@settings(max_examples=50, deadline=None)
@given(anything, st.randoms(use_true_random=False))
def test_equal_audits_make_an_equal_matrix_in_whatever_order_they_come(audits: list[Audit], order: random.Random):
    before = rebuild(audits[: len(audits) // 2], SETTINGS)
    shuffled = audits.copy()
    order.shuffle(shuffled)
    assert rebuild(shuffled, SETTINGS, before) == rebuild(audits, SETTINGS, before)


@settings(max_examples=50, deadline=None)
@given(anything)
def test_without_new_audits_no_cell_changes_its_state(audits: list[Audit]):
    once = rebuild(audits, SETTINGS)
    twice = rebuild(audits, SETTINGS, once)
    for candidate, row in once.cells.items():
        for task, cell in row.items():
            assert twice.cell(candidate, task).state == cell.state


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["qa", "coding", "chat"]), st.lists(st.floats(-1, -0.06), min_size=1), min_size=1)
)
def test_nothing_is_promoted_where_every_difference_is_beyond_the_margin(found: dict[str, list[float]]):
    audits = [audit for task, own in found.items() for audit in audits_of(own * 20, task=task)]
    matrix = rebuild(audits, SETTINGS)
    assert not any(cell.state == "proven" for cell in matrix.cells["small"].values())


def test_what_was_proven_stays_so_until_it_is_as_likely_worse_as_not():
    doubtful = audits_of(verdicts(200, -0.02))
    fresh = rebuild(doubtful, SETTINGS).cell("small", "qa")
    assert fresh.state == "unproven"
    assert SETTINGS.demote < fresh.probability < SETTINGS.promote
    proven = Matrix({"small": {"qa": Cell("small", "qa", state="proven", version="1")}})
    assert rebuild(doubtful, SETTINGS, proven).cell("small", "qa").state == "proven"
    worse = audits_of(verdicts(200, -0.07))
    assert rebuild(worse, SETTINGS, proven).cell("small", "qa").state == "unproven"


def test_a_new_version_starts_from_nothing():
    old = audits_of(verdicts(300, 0.03))
    before = rebuild(old, SETTINGS)
    assert before.cell("small", "qa").state == "proven"
    new = audits_of([0.0], start=1000, version="2")
    cell = rebuild(old + new, SETTINGS, before).cell("small", "qa")
    assert (cell.state, cell.n, cell.version) == ("unproven", 1, "2")


def test_a_model_that_silently_gets_worse_is_noticed_and_has_to_prove_itself_again():
    good = audits_of(verdicts(400, 0.03))
    before = rebuild(good, SETTINGS)
    bad = audits_of([-1.0, 0.0] * 40, start=1000)
    cell = rebuild(good + bad, SETTINGS, before).cell("small", "qa")
    assert cell.drifted
    assert cell.state != "proven"
    assert abs(cell.since - 1000) < 20
    assert cell.n <= 100


def test_what_a_change_has_ended_stays_ended():
    audits = audits_of(verdicts(400, 0.03)) + audits_of([-1.0, 0.0] * 40, start=1000)
    once = rebuild(audits, SETTINGS)
    again = rebuild(audits + audits_of([0.0] * 5, start=2000), SETTINGS, once)
    assert again.cell("small", "qa").since == once.cell("small", "qa").since


def test_a_change_everywhere_is_noticed_before_any_cell_could_notice_it():
    tasks = [f"task{number}" for number in range(10)]
    good = [audit for seed, task in enumerate(tasks) for audit in audits_of(verdicts(60, 0.03, seed), task=task)]
    bad = [audit for task in tasks for audit in audits_of([-1.0, -1.0, 0.0] * 5, task=task, start=1000)]
    matrix = rebuild(good + bad, SETTINGS, rebuild(good, SETTINGS))
    assert all(cell.drifted and cell.state == "unproven" for cell in matrix.cells["small"].values())


def test_a_cell_of_few_audits_leans_on_the_other_tasks_of_its_candidate():
    others = [audit for task in ("coding", "chat", "math") for audit in audits_of(verdicts(400, -0.2), task=task)]
    cell = rebuild(others + audits_of([1.0, 0.0, 0.0]), SETTINGS).cell("small", "qa")
    assert -0.25 < cell.mean < 0.0


def test_a_judge_that_errs_widens_the_interval():
    audits = audits_of(verdicts(300, 0.03))
    plain = rebuild(audits, SETTINGS).cell("small", "qa")
    doubtful = rebuild(audits, SETTINGS, judges={"small": Judge(slope=0.8, offset_error=0.02)}).cell("small", "qa")
    assert doubtful.high - doubtful.low > plain.high - plain.low


def test_what_a_check_decided_is_not_corrected():
    audits = [msgspec.structs.replace(audit, certain=True) for audit in audits_of(verdicts(300, -0.2))]
    plain = rebuild(audits, SETTINGS).cell("small", "qa")
    corrected = rebuild(audits, SETTINGS, judges={"small": Judge(slope=0.5)}).cell("small", "qa")
    assert corrected.mean == pytest.approx(plain.mean)


def test_a_matrix_survives_being_written_down():
    matrix = rebuild(audits_of(verdicts(300, 0.03)), SETTINGS)
    assert msgspec.json.decode(msgspec.json.encode(matrix), type=Matrix) == matrix
