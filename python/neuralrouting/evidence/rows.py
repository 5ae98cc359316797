"""Routing rows as they are kept beside a comparison: what a prompt is predicted by, its words as hashes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuralrouting.engine import ROUTE_DIMENSIONS, ROUTE_VERSION, route_features
from neuralrouting.evidence.ridge import Rows

_PAIR = 8
"""Bytes of one feature: its index (uint32) and its value (float32), both little-endian."""


def keep_row(text: str) -> bytes:
    """Return the row of a prompt as it is kept: the version of the features, all indices, all values."""
    _, indices, values = route_features([text])
    return (
        ROUTE_VERSION
        + np.frombuffer(indices, np.uint32).astype("<u4").tobytes()
        + np.frombuffer(values, np.float32).astype("<f4").tobytes()
    )


def read_rows(kept: Sequence[bytes]) -> tuple[Rows, list[int]]:
    """Return kept rows as one matrix, and the place of each of its rows among those given.

    Rows of another version of the features mean something else and are left out, as are those that are damaged.
    """
    places: list[int] = []
    starts = [0]
    features: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    values: list[npt.NDArray[np.float64]] = [np.zeros(0)]
    at = len(ROUTE_VERSION)
    for place, row in enumerate(kept):
        size, rest = divmod(len(row) - at, _PAIR)
        if size < 0 or rest or not row.startswith(ROUTE_VERSION):
            continue
        names = np.frombuffer(row, "<u4", size, at)
        numbers = np.frombuffer(row, "<f4", size, at + 4 * size)
        if (names >= ROUTE_DIMENSIONS).any() or not np.isfinite(numbers).all():
            continue
        places.append(place)
        starts.append(starts[-1] + size)
        features.append(names.astype(np.int64))
        values.append(numbers.astype(np.float64))
    return Rows(np.array(starts, np.int64), np.concatenate(features), np.concatenate(values)), places
