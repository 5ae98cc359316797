"""A replay serves, audits, learns and counts; its traffic is made up here."""

import itertools
from typing import Any

import numpy as np
import pytest

from neuralrouting.errors import ConfigError
from neuralrouting.evaluation.replay import Course, Drift, ReplaySettings, replay, traffic
from neuralrouting.evaluation.replay_figures import cell_oracle, figures, prompt_oracle, relative_loss, saved
from neuralrouting.evaluation.replay_predictor import RidgePredictor
from neuralrouting.evaluation.replay_report import report
from neuralrouting.evaluation.replay_table import Outcome, OutcomeRow, ReplayTable, replay_table
from neuralrouting.evidence.matrix import MatrixSettings

MATRIX = MatrixSettings()
USD = {"small": 0.01, "large": 1.0}


def rows_of(task: str, outcomes: dict[str, list[int]], n: int) -> list[OutcomeRow]:
    """Prompts of one task; the outcomes of each model are repeated."""
    streams = {name: itertools.cycle(own) for name, own in outcomes.items()}
    return [
        OutcomeRow(
            prompt=f"{task} question number {place}",
            models={
                name: Outcome(q=next(own), in_tok=10, out_tok=5, usd=USD.get(name)) for name, own in streams.items()
            },
            subject=task,
        )
        for place in range(n)
    ]


@pytest.fixture
def table() -> ReplayTable:
    """The small model is better at easy things and hopeless at hard ones; a third one is hopeless everywhere."""
    return replay_table(
        rows_of("easy", {"small": [1], "large": [1, 1, 1, 0], "bad": [0]}, 100)
        + rows_of("hard", {"small": [0, 0, 0, 1], "large": [1], "bad": [0]}, 100)
    )


def played(
    table: ReplayTable, requests: int = 4000, seed: int = 1, flips: float = 0.0, drift: Drift | None = None
) -> tuple[Course, dict[str, Any]]:
    own = ReplaySettings(requests=requests, every=400, seed=seed, flips=flips, drift=drift)
    stream = traffic(table, own)
    course = replay(table, stream, own, MATRIX)
    return course, figures(table, stream, course, own, MATRIX)


def test_models_are_in_the_order_of_their_price_and_the_best_is_the_reference(table: ReplayTable):
    assert table.models == ("small", "large")
    assert table.left_out == ("bad",)
    assert table.celled_by == "subject"
    assert table.cells == ("easy", "hard")


def test_a_price_by_the_token_brings_a_model_in():
    priced = replay_table(rows_of("easy", {"small": [1], "large": [1], "bad": [0]}, 5), prices={"bad": (1.0, 2.0)})
    assert priced.models[0] == "bad"
    assert priced.usd[0, 0] == pytest.approx(20e-6)


def test_a_model_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match="huge: no outcomes; there are large, small"):
        replay_table(rows_of("easy", {"small": [1], "large": [1]}, 5), ["huge"])


def test_rows_without_subject_or_task_are_classified():
    rows = [
        OutcomeRow(prompt="Translate to French: good night", models={"a": Outcome(1, usd=1), "b": Outcome(1, usd=2)})
    ]
    assert (replay_table(rows).celled_by, replay_table(rows).cells) == ("classifier", ("translation",))


def test_the_stream_goes_through_all_rows_before_it_begins_again(table: ReplayTable):
    stream = traffic(table, ReplaySettings(requests=400))
    assert sorted(stream.rows[:200]) == sorted(stream.rows[200:]) == list(range(200))
    assert not np.array_equal(stream.rows[:200], stream.rows[200:])


def test_it_learns_which_task_the_small_model_may_have(table: ReplayTable):
    course, told = played(table)
    assert course.matrix.cell("small", "easy").state == "proven"
    assert course.matrix.cell("small", "hard").state == "refused"
    assert told["promoted_cells"] == 1
    assert told["wrong_cells"] == 0
    assert told["late_net_saved"] > 0.35
    assert told["loss"] < 0.01
    assert told["audits"] == course.audited.sum() > 100
    assert told["timeline"][0]["offload"] == 0
    assert 0 < told["time_to_90pct"] < 4000


def test_until_something_is_proven_the_reference_answers(table: ReplayTable):
    course, told = played(table, requests=100)
    assert set(course.served) == {1}
    assert told["gross_saved"] == 0
    assert told["net_saved"] == pytest.approx(-told["audit_cost"])


def test_a_replay_is_the_same_each_time(table: ReplayTable):
    assert played(table, requests=1000)[1] == played(table, requests=1000)[1]
    assert played(table, requests=1000, seed=2)[1]["audits"] != played(table, requests=1000)[1]["audits"]


def test_an_audit_costs_the_answer_that_nobody_was_given(table: ReplayTable):
    course, _ = played(table)
    by_large = (course.served == 1) & (course.audited == 1)
    by_small = (course.served == 0) & (course.audited == 1)
    assert set(course.audit_usd[by_large]) == {USD["small"]}
    assert set(course.audit_usd[by_small]) == {USD["large"]}


def test_a_model_that_becomes_another_is_no_longer_served(table: ReplayTable):
    course, told = played(table, requests=12_000, drift=Drift("small", "bad", 4000))
    assert (course.served[3000:4000] == 0).mean() > 0.4
    assert (course.served[-1000:] == 0).mean() < 0.1
    assert told["recovery_requests"] < 8_000
    assert told["wrong_cells"] == 0


def test_a_drift_to_nobody_is_told(table: ReplayTable):
    with pytest.raises(ConfigError, match="huge takes no part"):
        traffic(table, ReplaySettings(drift=Drift("small", "huge", 1)))


def test_the_oracles_are_the_best_that_could_be_known(table: ReplayTable):
    stream = traffic(table, ReplaySettings(requests=200))
    by_cell, by_prompt = cell_oracle(stream, 0.05), prompt_oracle(stream)
    assert saved(stream, by_cell) == pytest.approx(0.495)
    assert relative_loss(stream, by_cell) == relative_loss(stream, by_prompt) == pytest.approx(1 - 200 / 175)
    assert saved(stream, by_prompt) == pytest.approx(0.99 * (100 + 25) / 200)


def test_flipped_verdicts_are_corrected_by_what_people_checked(table: ReplayTable):
    _, told = played(table, flips=0.2)
    assert told["late_net_saved"] > 0.3
    assert told["loss"] < 0.01


def test_a_predictor_has_learned_nothing_from_the_rows_that_it_predicts(table: ReplayTable):
    rows = np.arange(200)
    differences = np.random.default_rng(1).choice([-1.0, 1.0], 200)
    nobody = np.zeros(200, np.int64)
    predictor = RidgePredictor(table)
    expected = predictor.learn(np.tile(rows, 3), np.tile(nobody, 3), np.tile(differences, 3))
    assert abs(np.corrcoef(expected[:, 0], differences)[0, 1]) < 0.3


def test_the_report_has_means_runs_and_controls(table: ReplayTable):
    own = [ReplaySettings(requests=1500, every=100, seed=seed) for seed in (1, 2)]
    told = report(table, own, MATRIX)
    assert told["loss"] == pytest.approx(sum(run["loss"] for run in told["runs"]) / 2)
    assert told["seeds"] == [1, 2]
    controls = told["controls"]
    assert set(controls) == {"always_cheapest", "always_premium", "static_threshold", "naive_mean", "thompson"}
    assert controls["always_premium"] == {"loss": 0, "net_saved": 0, "offload": 0}
    assert controls["always_cheapest"]["net_saved"] == pytest.approx(0.99)
    assert controls["always_cheapest"]["loss"] == pytest.approx(1 - 125 / 175, abs=0.01)
    assert 0 <= controls["naive_mean"]["wrong_cells"] <= 1
