"""The queue behind the requests: it never raises, never grows without bound, and tells every reader everything."""

import asyncio
import logging
from typing import Any, cast

import pytest

from neuralrouting.exchange import Exchange
from neuralrouting.telemetry.events import DELAY_S, Events

pytestmark = pytest.mark.anyio


class Listening:
    """Keeps what it is told; `fails` raises instead."""

    def __init__(self, *, fails: bool = False) -> None:
        self.heard: list[object] = []
        self._fails = fails

    def read(self, event: object) -> None:
        if self._fails:
            raise ValueError("a word of the prompt")
        self.heard.append(event)


def event(n: int) -> Exchange:
    return cast("Exchange", n)


async def test_what_is_noted_is_read_soon_and_in_order():
    reader: Any = Listening()
    events = Events([reader])
    for n in range(250):
        events.note(event(n))
    assert reader.heard == []
    await asyncio.sleep(DELAY_S)
    for _ in range(10):
        await asyncio.sleep(0)
    assert reader.heard == list(range(250))


async def test_a_reader_that_fails_takes_nothing_from_the_others_and_tells_no_text(caplog: pytest.LogCaptureFixture):
    failing, reader = cast("Any", Listening(fails=True)), cast("Any", Listening())
    events = Events([failing, reader])
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            events.note(event(n))
        events.flush()
    assert reader.heard == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == ["an event cannot be told: ValueError"]


async def test_beyond_its_capacity_events_are_forgotten_and_that_is_said_once(caplog: pytest.LogCaptureFixture):
    reader: Any = Listening()
    events = Events([reader], capacity=10)
    with caplog.at_level(logging.WARNING):
        for n in range(15):
            events.note(event(n))
    assert [record.getMessage() for record in caplog.records] == ["more than 10 events wait: some are not counted"]
    events.flush()
    assert reader.heard == list(range(10))
    assert events.missed == 5
