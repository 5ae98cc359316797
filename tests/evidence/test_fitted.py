"""What is made of predictions: a candidate's are brought to scale, a peer's are left alone."""

import numpy as np
import pytest

from neuralrouting.evidence.fitted import blend_of, blended


def test_a_candidate_that_is_overrated_is_brought_to_scale():
    rng = np.random.default_rng(1)
    own = rng.normal(-0.2, 0.1, 500)
    outputs = np.stack([own, np.zeros(500), np.full(500, 0.9)], axis=1)
    differences = -0.3 + 0.5 * (own - own.mean())
    expected, saved = blended(outputs, blend_of(outputs, differences[:, None]))
    assert expected[:, 0] == pytest.approx(differences, abs=1e-6)
    assert saved[:, 0] == pytest.approx(np.full(500, 0.9))


def test_the_contrast_helps_a_candidate_that_it_knows_something_of():
    rng = np.random.default_rng(2)
    contrast = rng.normal(-0.3, 0.2, 500)
    outputs = np.stack([rng.normal(-0.2, 0.1, 500), contrast, np.full(500, 0.9)], axis=1)
    expected, _ = blended(outputs, blend_of(outputs, contrast[:, None] - 0.1))
    assert expected[:, 0] == pytest.approx(contrast - 0.1, abs=1e-6)


def test_a_peer_of_the_reference_keeps_its_own_prediction():
    rng = np.random.default_rng(4)
    outputs = rng.normal(0.0, 0.1, (200, 3))
    expected, _ = blended(outputs, blend_of(outputs, np.zeros((200, 1))))
    assert (expected == outputs[:, :1]).all()
