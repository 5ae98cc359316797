"""What second embedders share: rounding to bytes, one run for one text, and few words about failures."""

import asyncio
import logging
import math
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.providers.embedding import REMEMBERED, Complaints, Runs, signed

pytestmark = pytest.mark.anyio

LONG_S = 30.0
"""More than any run takes that ends at all."""


def numbers_of(vector: bytes) -> list[int]:
    return list(memoryview(vector).cast("b"))


def test_the_largest_number_becomes_127_whatever_its_sign():
    assert numbers_of(signed([0.5, -1.0, 0.25, 0.0])) == [64, -127, 32, 0]
    assert numbers_of(signed([1e-30, -5e-31])) == [127, -64]


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [1.0, math.nan], [math.inf, 1.0], [1.0, -math.inf]])
def test_what_has_no_direction_is_no_vector(vector: list[float]):
    assert signed(vector) is None


@given(
    st.lists(st.floats(-1e6, 1e6).filter(lambda number: number == 0 or abs(number) > 1e-6), min_size=8, max_size=400)
)
def test_rounding_keeps_the_direction(vector: list[float]):
    rounded = signed(vector)
    if rounded is None:
        assert not any(vector)
        return
    kept = numbers_of(rounded)
    dot = sum(a * b for a, b in zip(vector, kept, strict=True))
    cosine = dot / math.sqrt(sum(a * a for a in vector)) / math.sqrt(sum(b * b for b in kept))
    # At worst one number is 127 and all others lie half a step off.
    assert cosine > 0.99


class Door:
    """A run that ends when it is told to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.open = asyncio.Event()

    async def run(self, text: str) -> bytes | None:
        self.texts.append(text)
        await self.open.wait()
        return None if text == "nothing" else text.encode()


async def all_started() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def begun(*waiting: Awaitable[bytes | None]) -> "asyncio.Future[list[bytes | None]]":
    """Start them together and return what gathers them."""
    gathered = asyncio.gather(*waiting)
    await all_started()
    return gathered


async def test_all_who_ask_for_a_text_share_its_run():
    door = Door()
    runs = Runs(door.run, 2)
    asking = await begun(*(runs.vector("same", LONG_S) for _ in range(10)))
    door.open.set()
    assert await asking == [b"same"] * 10
    assert await runs.vector("same", LONG_S) == b"same"
    assert door.texts == ["same"]


async def test_more_texts_than_may_run_are_refused_at_once_and_those_known_are_not():
    door = Door()
    runs = Runs(door.run, 2)
    door.open.set()
    assert await runs.vector("known", LONG_S) == b"known"
    door.open.clear()
    asking = await begun(runs.vector("one", LONG_S), runs.vector("two", LONG_S))
    assert await runs.vector("three", LONG_S) is None
    assert await runs.vector("known", LONG_S) == b"known"
    door.open.set()
    assert await asking == [b"one", b"two"]
    assert await runs.vector("three", LONG_S) == b"three"


async def test_who_cannot_wait_leaves_and_finds_the_vector_later():
    door = Door()
    runs = Runs(door.run, 2)
    assert await runs.vector("slow", 0.01) is None
    assert runs.known("slow") is None
    door.open.set()
    await all_started()
    assert runs.known("slow") == b"slow"


async def test_a_client_that_goes_away_takes_the_run_from_nobody():
    door = Door()
    runs = Runs(door.run, 2)
    leaving = asyncio.create_task(runs.vector("text", LONG_S))
    staying = await begun(runs.vector("text", LONG_S))
    leaving.cancel()
    await all_started()
    door.open.set()
    assert await staying == [b"text"]


async def test_a_text_without_a_vector_is_tried_again():
    door = Door()
    door.open.set()
    runs = Runs(door.run, 2)
    assert [await runs.vector("nothing", LONG_S) for _ in range(2)] == [None, None]
    assert door.texts == ["nothing"] * 2


async def test_the_texts_asked_least_lately_are_forgotten():
    door = Door()
    door.open.set()
    runs = Runs(door.run, 2)
    for place in range(REMEMBERED):
        await runs.vector(str(place), LONG_S)
    assert runs.known("0") == b"0"
    await runs.vector("one more", LONG_S)
    assert (runs.known("0"), runs.known("1")) == (b"0", None)


async def test_closing_ends_the_wait():
    door = Door()
    runs = Runs(door.run, 2)
    asking = await begun(runs.vector("text", LONG_S))
    await runs.close()
    assert await asking == [None]


def test_an_embedder_complains_once_a_minute(caplog: pytest.LogCaptureFixture):
    complaints = Complaints("openai:host/model")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            complaints.say("it answered with status 500")
    assert len(caplog.records) == 1
    assert "openai:host/model: it answered with status 500" in caplog.text
