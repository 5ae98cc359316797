"""Feedback as evidence: a complaint counts, praise alone proves nothing, and neither outweighs comparisons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.evidence.audits import Audit
from neuralrouting.evidence.matrix import MatrixSettings, rebuild
from neuralrouting.exchange import Said
from neuralrouting.layers.feedback import WEIGHT, difference_of, evidence_of

CELLS = st.sampled_from(["a/cheap", "a/middle"]), st.sampled_from(["qa", "coding"])
SAID = st.builds(Said, *CELLS, st.floats(-1, 1), st.integers(0, 1_000))
AUDITS = st.builds(Audit, *CELLS, st.sampled_from([-1.0, 0.0, 1.0]), st.integers(0, 1_000))


def _weight(audits: list[Audit], candidate: str, task: str, *, praise: bool | None = None) -> float:
    return sum(
        audit.weight
        for audit in audits
        if (audit.candidate, audit.task) == (candidate, task)
        and (praise is None or (audit.difference == 0 if praise else audit.difference < 0))
    )


@pytest.mark.parametrize(("score", "difference"), [(1.0, 0.0), (0.4, 0.0), (0.0, 0.0), (-0.5, -0.5), (-1.0, -1.0)])
def test_praise_is_as_good_as_the_reference_and_a_complaint_is_worse(score: float, difference: float):
    assert difference_of(score) == difference


def test_a_word_weighs_a_quarter_of_a_comparison():
    audits = [Audit("a/cheap", "qa", 0.0, 1) for _ in range(4)]
    found = evidence_of(audits, [Said("a/cheap", "qa", -1.0, 5), Said("a/cheap", "qa", 1.0, 6)])
    assert found[:4] == audits
    assert [(one.difference, one.weight, one.judged_ms, one.certain) for one in found[4:]] == [
        (-1.0, WEIGHT, 5, True),
        (0.0, WEIGHT, 6, True),
    ]


def test_praise_alone_proves_nothing():
    assert evidence_of([], [Said("a/cheap", "qa", 1.0, at) for at in range(1_000)]) == []


def test_any_number_of_complaints_counts():
    found = evidence_of([], [Said("a/cheap", "qa", -1.0, at) for at in range(200)])
    assert sum(one.weight for one in found) == 200 * WEIGHT
    assert rebuild(found, MatrixSettings()).cell("a/cheap", "qa").state == "refused"


def test_a_simulated_model_is_not_learned_of():
    assert evidence_of([], [Said("simulated/gpt-4o", "qa", -1.0, 1)]) == []


def test_feedback_is_about_the_versions_that_were_compared_last_before_it():
    audits = [Audit("a/cheap", "qa", 0.0, at, version=version) for at, version in ((10, "one"), (20, "two"))]
    found = evidence_of(audits, [Said("a/cheap", "qa", -1.0, at) for at in (5, 15, 25)])
    assert [one.version for one in found[2:]] == ["one", "one", "two"]
    assert rebuild(found, MatrixSettings()).cell("a/cheap", "qa").n == 1 + WEIGHT, "what came before is another model"


@given(st.lists(AUDITS, max_size=20), st.lists(SAID, max_size=60))
def test_praise_never_weighs_more_than_comparisons_and_complaints(audits: list[Audit], said: list[Said]):
    found = evidence_of(audits, said)
    assert found[: len(audits)] == audits
    spoken = found[len(audits) :]
    assert all(0 < one.weight <= WEIGHT for one in spoken)
    for candidate in ("a/cheap", "a/middle"):
        for task in ("qa", "coding"):
            complaints = _weight(spoken, candidate, task, praise=False)
            praise = _weight(spoken, candidate, task, praise=True)
            assert praise <= _weight(audits, candidate, task) + complaints + 1e-9
