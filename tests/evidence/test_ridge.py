"""The one ridge: exact against the closed form, and gentle where little is known."""

import numpy as np
import pytest

from neuralrouting.engine import ROUTE_BLOCKS, ROUTE_DIMENSIONS, Engine, Predictor
from neuralrouting.evidence.ridge import MID, NAMED, PRIORS, SMALL, Rows, fit, fit_head

PROMPTS = [f"What is {n} plus {n * 7 % 13}?" for n in range(30)] + [
    f"Write a poem about the {colour} {thing}."
    for colour in ("red", "old", "tiny")
    for thing in ["sea", "moon", "fox", "oak"]
]
EASY = np.array([1.0 if prompt.startswith("Write") else 0.0 for prompt in PROMPTS])


def dense(rows: Rows) -> np.ndarray:
    table = np.zeros((len(rows), ROUTE_DIMENSIONS))
    for row in range(len(rows)):
        at = slice(rows.starts[row], rows.starts[row + 1])
        table[row, rows.features[at]] = rows.values[at]
    return table


def test_rows_are_multiplied_as_a_dense_matrix_would_be():
    rows, rng = Rows.of(PROMPTS[:9]), np.random.default_rng(1)
    weights, factors = rng.normal(size=(ROUTE_DIMENSIONS, 2)), rng.normal(size=(9, 3))
    assert rows.times(weights) == pytest.approx(dense(rows) @ weights)
    assert rows.transposed_times(factors) == pytest.approx(dense(rows).T @ factors)
    some = np.array([4, 0, 4])
    assert dense(rows.take(some)) == pytest.approx(dense(rows)[some])


def test_the_solution_is_that_of_the_closed_form():
    rows, penalty = Rows.of(PROMPTS), 3.0
    named = dense(rows)[:, : ROUTE_BLOCKS[NAMED + 1]]
    centred = named - named.mean(axis=0)
    centred /= np.sqrt((centred**2).sum() / len(rows))
    kernel = centred @ centred.T
    wanted = EASY.mean() + kernel @ np.linalg.solve(kernel + penalty * np.eye(len(rows)), EASY - EASY.mean())
    model = fit(rows, EASY[:, None], mixes=[{NAMED: 1.0}], penalty=penalty)
    assert model.predict(rows)[:, 0] == pytest.approx(wanted, abs=1e-3)


def test_equal_rows_give_equal_weights():
    rows = Rows.of(PROMPTS)
    first, second = fit(rows, EASY[:, None]), fit(rows, EASY[:, None])
    assert np.array_equal(first.weights, second.weights)


def predicted(head: bytes, prompt: str) -> dict[str, float]:
    body = b'{"messages":[{"role":"user","content":"%s"}]}' % prompt.encode()
    return dict(Engine().inspect(body, "acct", predictor=Predictor([("head", head)])).predicted)


@pytest.mark.parametrize(("prior", "name"), [(SMALL, "small"), (MID, "mid")])
def test_a_head_without_audits_is_the_shipped_one(prior: int, name: str):
    found = predicted(fit_head(Rows.of([]), np.zeros(0), prior=prior), PROMPTS[0])
    assert found["head"] == pytest.approx(found[name], abs=1e-6)


def test_a_few_audits_change_little_and_many_change_much():
    prompt = PROMPTS[0]
    shipped = predicted(fit_head(Rows.of([]), np.zeros(0)), prompt)["mid"]
    few = predicted(fit_head(Rows.of([prompt] * 5), np.ones(5)), prompt)["head"]
    many = predicted(fit_head(Rows.of([prompt] * 3000), np.ones(3000)), prompt)["head"]
    assert shipped < few < shipped + 0.3 * (1 - shipped)
    assert many > 0.9


def test_the_native_core_predicts_what_numpy_does():
    rows = Rows.of(PROMPTS)
    head = fit_head(rows, EASY - 0.5)
    scales = np.frombuffer(head[16 : 16 + 4 * (len(ROUTE_BLOCKS) - 1)], "<f4")
    weights = np.frombuffer(head[16 + scales.nbytes :], np.int8).astype(float)
    for block, scale in enumerate(scales):
        weights[ROUTE_BLOCKS[block] : ROUTE_BLOCKS[block + 1]] *= scale
    wanted = np.frombuffer(head[12:16], "<f4")[0] + rows.take(np.array([3])).times(weights[:, None])[0, 0]
    assert predicted(head, PROMPTS[3])["head"] == pytest.approx(np.clip(wanted, -1, 1), abs=1e-4)


def test_audits_that_count_nothing_teach_nothing():
    rows = Rows.of([PROMPTS[0], PROMPTS[-1]] * 200)
    differences, weights = np.tile([1.0, -1.0], 200), np.tile([1.0, 0.0], 200)
    assert (
        predicted(fit_head(rows, differences, weights), PROMPTS[-1])["head"]
        > predicted(fit_head(rows, differences), PROMPTS[-1])["head"]
    )


def test_the_shipped_heads_are_features_of_a_row():
    rows = Rows.of(PROMPTS[:2])
    assert (rows.features >= ROUTE_BLOCKS[PRIORS]).sum() == 4
