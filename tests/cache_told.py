"""What an answer tells about the cache."""

from collections.abc import Mapping
from typing import Protocol


class Answered(Protocol):
    """Any client's response."""

    @property
    def headers(self) -> Mapping[str, str]: ...


def cache_told(response: Answered) -> str:
    """exact, semantic, miss or bypass: the header without what else it says."""
    return response.headers["x-nr-cache"].split(";")[0]
