"""Rows of features as they are kept: read back as they were made, and never mistaken for another version's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.engine import ROUTE_DIMENSIONS, ROUTE_VERSION, route_features
from neuralrouting.evidence.rows import keep_row, read_rows

TEXTS = ["How far is the moon?", "Write a function that sorts a list.", ""]


def test_rows_come_back_as_the_core_made_them():
    rows, places = read_rows([keep_row(text) for text in TEXTS])
    starts, indices, values = route_features(TEXTS)
    assert places == [0, 1, 2]
    assert rows.starts.tolist() == np.frombuffer(starts, np.int64).tolist()
    assert rows.features.tolist() == np.frombuffer(indices, np.uint32).tolist()
    assert rows.values.tolist() == np.frombuffer(values, np.float32).tolist()


def test_rows_of_other_versions_and_damaged_ones_are_left_out():
    good = keep_row(TEXTS[0])
    beyond = ROUTE_VERSION + np.array([ROUTE_DIMENSIONS], "<u4").tobytes() + np.array([1.0], "<f4").tobytes()
    nan = ROUTE_VERSION + np.array([0], "<u4").tobytes() + np.array([np.nan], "<f4").tobytes()
    rows, places = read_rows([b"", bytes(8) + good[8:], good[:-1], good, beyond, nan, good])
    assert places == [3, 6]
    assert len(rows.starts) == 3
    assert rows.features[: rows.starts[1]].tolist() == rows.features[rows.starts[1] :].tolist()


def test_no_rows_are_an_empty_matrix():
    rows, places = read_rows([])
    assert (rows.starts.tolist(), rows.features.tolist(), places) == ([0], [], [])


def test_a_kept_row_has_no_word_of_the_prompt():
    assert b"zebra" not in keep_row("a zebra zebra zebra")


@given(st.lists(st.binary(max_size=64), max_size=5))
def test_bytes_of_any_kind_are_never_an_error(kept: list[bytes]):
    rows, places = read_rows([*kept, *(ROUTE_VERSION + one for one in kept)])
    assert len(rows.starts) == len(places) + 1


@pytest.mark.parametrize("text", TEXTS)
def test_a_row_begins_with_the_version_of_its_features(text: str):
    assert keep_row(text).startswith(ROUTE_VERSION)
