"""Moments in which two things happen at once to a flight."""

import asyncio

import pytest
from conducted import piece

from neuralrouting.exchange import Batches, Chunk
from neuralrouting.pipeline.chunklog import Follower
from neuralrouting.pipeline.flight import Flights, Seat
from neuralrouting.providers.tally import Tally

pytestmark = pytest.mark.anyio
KEY = b"k" * 32


class Endless:
    """A stream that never ends by itself."""

    def __aiter__(self) -> "Endless":
        return self

    async def __anext__(self) -> list[Chunk]:
        return [piece("more ")]

    async def aclose(self) -> None:
        pass


def led(flights: Flights, request_id: str = "first") -> Seat:
    seat = flights.lead(KEY, request_id)
    assert seat is not None
    return seat


def streaming(seat: Seat) -> Batches:
    return seat.logged(Endless(), None, Tally(1))  # pyright: ignore[reportArgumentType]


async def joined(flights: Flights, request_id: str, *, stream: bool) -> "asyncio.Task[object]":
    task = asyncio.create_task(flights.join(KEY, request_id, stream=stream))
    await asyncio.sleep(0)
    return task


async def test_who_leaves_in_the_moment_in_which_it_may_follow_holds_nobody_back():
    flights = Flights(60)
    seat = led(flights)
    stream = streaming(seat)
    waiting = await joined(flights, "second", stream=True)
    await anext(aiter(stream))  # now it is told, and has not heard yet
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await flights.unshared(KEY, "first")


async def test_who_leaves_in_the_moment_in_which_it_is_to_lead_leaves_that_to_the_next():
    flights = Flights(60)
    seat = led(flights)
    heir, next_one = await joined(flights, "second", stream=False), await joined(flights, "third", stream=False)
    seat.fail()
    heir.cancel()
    await asyncio.gather(heir, return_exceptions=True)
    assert isinstance(await next_one, Seat)


async def test_the_heir_is_kept_for_its_waiters_and_the_first_leader_is_not():
    flights = Flights(60)
    seat = led(flights)
    heir, waiting = await joined(flights, "second", stream=False), await joined(flights, "third", stream=False)
    seat.fail()
    found = await heir
    assert isinstance(found, Seat)
    async with asyncio.timeout(1):
        await flights.unshared(KEY, "first")
    kept = asyncio.create_task(flights.unshared(KEY, "second"))
    await asyncio.sleep(0.01)
    assert not kept.done()
    waiting.cancel()
    await asyncio.wait([kept], timeout=1)
    assert kept.done()


async def test_nobody_joins_a_request_that_is_about_to_be_stopped():
    flights = Flights(60)
    seat = led(flights)
    stream = streaming(seat)
    await anext(aiter(stream))
    await flights.unshared(KEY, "first")
    other = led(flights, "second")
    seat.fail()
    assert len(flights) == 1, "the first one does not take the second one's place away"
    other.fail()
    assert len(flights) == 0


async def test_who_follows_holds_a_stopped_leader_back_until_it_leaves():
    flights = Flights(60)
    stream = streaming(led(flights))
    await anext(aiter(stream))
    follower = await flights.join(KEY, "second", stream=True)
    assert isinstance(follower, Follower)
    kept = asyncio.create_task(flights.unshared(KEY, "first"))
    await asyncio.sleep(0.01)
    assert not kept.done()
    await follower.aclose()
    await asyncio.wait([kept], timeout=1)
    assert kept.done()
