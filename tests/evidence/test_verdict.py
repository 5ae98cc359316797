"""Per request: who is good enough, and who is audited."""

from comparing import audits_of, verdicts
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralrouting.evidence.matrix import Cell, Matrix, MatrixSettings, rebuild
from neuralrouting.evidence.sending import Reach
from neuralrouting.evidence.verdict import audit_rate, audit_rates, good_enough

SETTINGS = MatrixSettings()


def matrix_of(*cells: Cell, reach: Reach | None = None) -> Matrix:
    rows: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.candidate, {})[cell.task] = cell
    return Matrix(rows, {} if reach is None else dict.fromkeys(rows, reach))


def test_where_nothing_is_known_no_candidate_is_good_enough():
    verdict = good_enough(Matrix(), "small", "qa", predicted=0.9)
    assert (verdict.enough, verdict.basis, verdict.n) == (False, "unproven", 0)


def test_a_proven_cell_is_served_whatever_is_predicted():
    matrix = matrix_of(Cell("small", "qa", n=500, mean=0.01, state="proven", sent=1.0))
    assert good_enough(matrix, "small", "qa", predicted=-1.0).basis == "proven"
    assert good_enough(matrix, "small", "qa").enough


def test_an_easy_prompt_of_a_refused_cell_is_sent_and_a_hard_one_is_not():
    refused = Cell("small", "qa", n=500, mean=-0.1, state="refused", centre=-0.1, sent=0.3)
    matrix = matrix_of(refused, reach=Reach(threshold=-0.04, slope=0.5, share=0.1, served=0.1))
    easy, hard = (good_enough(matrix, "small", "qa", predicted) for predicted in (0.1, -0.1))
    assert (easy.enough, easy.basis, round(easy.expected, 6)) == (True, "predicted", 0.0)
    assert (hard.enough, hard.basis) == (False, "refused")


def test_without_a_threshold_nothing_is_sent():
    matrix = matrix_of(Cell("small", "qa", n=500, mean=0.5, sent=0.3), reach=Reach())
    assert not good_enough(matrix, "small", "qa", predicted=1.0).enough


@settings(deadline=None)
@given(
    st.builds(
        Cell,
        candidate=st.just("small"),
        task=st.just("qa"),
        n=st.floats(0, 5000),
        probability=st.floats(0, 1),
        sent=st.floats(0, 1),
    )
)
def test_every_cell_is_audited_at_the_floor_at_least(cell: Cell):
    assert SETTINGS.floor <= audit_rate(cell, SETTINGS) <= SETTINGS.audit * SETTINGS.haste[1]


def test_an_undecided_cell_is_audited_more_often_than_a_decided_one():
    open_, decided = (Cell("small", "qa", n=200, probability=chance) for chance in (0.6, 0.01))
    assert audit_rate(decided, SETTINGS) == SETTINGS.floor
    assert audit_rate(open_, SETTINGS) > 2 * SETTINGS.floor


def test_a_cell_that_the_candidate_serves_is_audited_less_because_that_costs_the_reference():
    kept, served = (Cell("small", "qa", n=200, probability=0.6, sent=sent) for sent in (0.0, 1.0))
    assert SETTINGS.floor < audit_rate(served, SETTINGS) < audit_rate(kept, SETTINGS)


def test_a_young_cell_is_audited_more_often_than_an_old_one():
    young, old = (Cell("small", "qa", n=n, probability=0.6) for n in (10, 1000))
    assert audit_rate(young, SETTINGS) > audit_rate(old, SETTINGS)


def test_the_cheapest_undecided_candidate_is_audited_and_dearer_ones_wait():
    matrix = matrix_of(
        Cell("small", "qa", n=400, probability=0.001, state="refused"), Cell("mid", "qa", n=50), Cell("large", "qa")
    )
    rates = audit_rates(matrix, "qa", ["small", "mid", "large"], SETTINGS)
    assert rates["small"] == rates["large"] == SETTINGS.floor
    assert rates["mid"] > SETTINGS.audit


def test_a_candidate_that_serves_elsewhere_is_watched_here_too():
    refused = Cell("small", "qa", n=400, probability=0.001, state="refused")
    matrix = matrix_of(refused, reach=Reach(served=0.2))
    assert audit_rates(matrix, "qa", ["small"], SETTINGS) == {"small": SETTINGS.watch}


def test_a_gain_in_one_task_pays_for_a_small_loss_in_another_but_never_for_a_great_one():
    audits = [
        *audits_of(verdicts(1500, 0.2), task="maths"),
        *audits_of(verdicts(1500, -0.07, seed=2), task="law"),
        *audits_of(verdicts(1500, -0.2, seed=3), task="physics"),
    ]
    matrix = rebuild(audits, SETTINGS)
    assert matrix.cell("small", "law").state != "proven"
    assert good_enough(matrix, "small", "law").basis == "predicted"
    assert matrix.reach("small").low >= -SETTINGS.budget
    assert not good_enough(matrix, "small", "physics").enough


def test_without_a_gain_nothing_is_sent_beyond_proven_cells_but_what_the_budget_bears():
    matrix = rebuild(audits_of(verdicts(1500, -0.07)), SETTINGS)
    share = matrix.reach("small").share
    assert matrix.reach("small").low >= -SETTINGS.budget
    assert share < SETTINGS.budget / 0.07
