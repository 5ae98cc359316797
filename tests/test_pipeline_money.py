"""Whatever goes wrong in a request, at every place where it waits: its hold ends once, and one row says how."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from neuralrouting.exchange import Arrival
from till import (
    THROWN,
    Build,
    Client,
    Confused,
    Forgetful,
    NeverLearning,
    NeverRecording,
    NeverStoring,
    Warm,
    chat_body,
    opened_tills,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Make a till of these parts, the usual ones where none is named."""
    async with opened_tills(tmp_path) as build:
        yield build


@pytest.mark.parametrize("error", THROWN)
async def test_whatever_is_raised_wherever_a_request_waits_its_hold_ends_once(
    build: Build, error: str, capsys: pytest.CaptureFixture[str]
):
    till = await build(speeds=Warm())
    works: dict[str, Callable[[Arrival], Coroutine[Any, Any, object]]] = {
        "complete": till.complete,
        "stream": till.read,
        "stream left early": lambda arrival: till.read(arrival, 2),
        "endpoint": lambda arrival: till.serve(arrival, stream=False),
        "endpoint, stream": lambda arrival: till.serve(arrival, stream=True),
    }
    covered = {name: await till.throw_everywhere(name, work, THROWN[error]) for name, work in works.items()}
    with capsys.disabled():
        told = ", ".join(f"{name} {count}" for name, count in covered.items())
        print(f"\n{error} thrown at {sum(covered.values())} places: {told}")  # noqa: T201
    assert covered["complete"] >= 4
    assert min(covered["stream"], covered["endpoint, stream"]) > covered["complete"] + 4


async def test_a_stream_that_is_closed_after_any_batch_ends_its_hold_and_never_charges_less_for_more(build: Build):
    till = await build()
    charges: list[int] = []
    for batches in range(7):
        arrival = till.arrival()
        await till.read(arrival, batches)
        state, charged_mc = await till.check(arrival, within=f"closed after {batches}")
        assert state == "settled"
        charges.append(charged_mc)
    assert charges == sorted(charges)
    assert charges[-1] == 10 * (11 + 7)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({"speeds": NeverLearning()}, "settled"),
        ({"engine": NeverStoring(), "speeds": Warm()}, "settled"),
        ({"recorder": NeverRecording()}, "settled"),
        ({"dispatcher": Confused}, "voided"),
        ({"directory": Forgetful()}, "none"),
    ],
    ids=["learning", "storing", "recording", "making the row", "telling of budgets"],
)
async def test_a_bug_in_a_part_ends_the_hold_once_all_the_same(
    build: Build, parts: dict[str, Any], state: str, *, stream: bool
):
    till = await build(**parts)
    arrival = till.arrival()
    with pytest.raises((RuntimeError, KeyError)):
        await (till.read(arrival) if stream else till.complete(arrival))
    assert (await till.check(arrival))[0] == state


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_while_the_provider_is_silent_pays_for_what_came(build: Build, *, stream: bool):
    till = await build(speeds=Warm())
    for after in range(12):
        arrival, client = till.arrival(), Client(chat_body(stream=stream))
        serving = asyncio.create_task(till.serve(arrival, stream=stream, client=client))
        for _ in range(after):
            await asyncio.sleep(0)
        client.gone.set()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await till.check(arrival, read=after > 1)
