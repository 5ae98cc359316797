"""Whose turn it is to make an answer: two workers over one database, without a gateway round them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from neuralrouting.api.idempotency import WAITERS, Flight, Idempotency, replay
from neuralrouting.api.recording import Recording
from neuralrouting.api.wire import DONE, Header
from neuralrouting.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    NeuralRoutingError,
    UpstreamInterrupted,
    UpstreamTimeout,
)
from neuralrouting.storage.database import Database
from neuralrouting.storage.idempotency import MAX_BODY_BYTES, Claim, IdempotencyRows, Stored

pytestmark = pytest.mark.anyio

CLAIM = Claim("acme", "/v1/dispatch", "key-1", b"f" * 32)
HEADERS: list[Header] = [("content-type", "application/json"), ("x-nr-request-id", "req_1"), ("x-request-id", "req_1")]
WAIT_S = 0.4
EXPIRES = "SELECT idempotency_key, expires_ms FROM idempotency ORDER BY expires_ms"


class Client:
    """Where answers go: what a client would have read."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.body = b""

    def response_bytes(self, status: int, headers: list[Header], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def response_stream(self, status: int, headers: list[Header]) -> "Client":
        self.status, self.headers = status, headers
        return self

    async def send_bytes(self, data: bytes) -> None:
        self.body += data


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[tuple[Idempotency, Idempotency]]:
    """Two workers."""
    one, two = (Idempotency(IdempotencyRows(database), name, 1.0, wait_s=WAIT_S) for name in ("one", "two"))
    yield one, two
    await one.close()
    await two.close()


async def make(worker: Idempotency, body: bytes = b"{}", headers: list[Header] = HEADERS, after_s: float = 0.0) -> None:
    """Make the answer, whose turn it must be."""
    turn = await worker.turn(CLAIM)
    assert isinstance(turn, Flight)
    async with worker.making(turn, Client()) as recording:
        await asyncio.sleep(after_s)
        recording.response_bytes(200, headers, body)


async def fail(worker: Idempotency, error: Exception, after_s: float = 0.0) -> None:
    """Fail to make the answer, whose turn it must be."""
    turn = await worker.turn(CLAIM)
    assert isinstance(turn, Flight)
    with contextlib.suppress(type(error)):
        async with worker.making(turn, Client()):
            await asyncio.sleep(after_s)
            raise error


async def test_an_answer_that_another_worker_makes_is_waited_for(pair: tuple[Idempotency, Idempotency]):
    one, two = pair
    making = asyncio.create_task(make(one, after_s=0.2))
    await asyncio.sleep(0.05)
    found = await asyncio.gather(*(two.turn(CLAIM) for _ in range(5)))
    await making
    assert found == [Stored(200, tuple(HEADERS), b"{}")] * 5


@pytest.mark.parametrize("who", [0, 1], ids=["here", "elsewhere"])
async def test_who_has_waited_long_enough_is_told_to_come_again(pair: tuple[Idempotency, Idempotency], who: int):
    making = asyncio.create_task(make(pair[0], after_s=1.0))
    await asyncio.sleep(0.05)
    began_s = time.monotonic()
    with pytest.raises(IdempotencyInFlight) as refused:
        await pair[who].turn(CLAIM)
    assert WAIT_S <= time.monotonic() - began_s < 0.9
    assert refused.value.retry_after_s
    await making
    assert isinstance(await pair[who].turn(CLAIM), Stored)


async def test_no_more_than_so_many_wait_for_one_answer(pair: tuple[Idempotency, Idempotency]):
    making = asyncio.create_task(make(pair[0], after_s=0.2))
    await asyncio.sleep(0.05)
    found = await asyncio.gather(*(pair[0].turn(CLAIM) for _ in range(WAITERS + 3)), return_exceptions=True)
    await making
    assert [type(it) for it in found] == [Stored] * WAITERS + [IdempotencyInFlight] * 3


async def test_a_failure_is_shared_by_who_waits_for_it_here_and_leaves_the_turn_to_the_next(
    pair: tuple[Idempotency, Idempotency],
):
    failing = asyncio.create_task(fail(pair[0], UpstreamTimeout("too slow"), after_s=0.2))
    await asyncio.sleep(0.05)
    elsewhere = asyncio.create_task(pair[1].turn(CLAIM))
    found = await asyncio.gather(*(pair[0].turn(CLAIM) for _ in range(3)), return_exceptions=True)
    assert [type(it) for it in found] == [UpstreamTimeout] * 3
    await failing
    assert isinstance(await elsewhere, Flight), "another worker does not know of the failure, and makes the answer"


async def test_what_nobody_foresaw_is_told_without_its_words(pair: tuple[Idempotency, Idempotency]):
    failing = asyncio.create_task(fail(pair[0], ValueError("a secret"), after_s=0.2))
    await asyncio.sleep(0.05)
    with pytest.raises(NeuralRoutingError) as told:
        await pair[0].turn(CLAIM)
    await failing
    assert told.value.status == 500
    assert "secret" not in told.value.message


async def test_who_makes_an_answer_and_is_cancelled_leaves_the_turn_to_the_next(
    pair: tuple[Idempotency, Idempotency],
):
    making = asyncio.create_task(make(pair[0], after_s=5.0))
    await asyncio.sleep(0.1)
    making.cancel()
    await asyncio.wait([making])
    assert making.cancelled()
    await make(pair[1])


async def test_another_request_under_the_key_is_refused_in_every_worker(pair: tuple[Idempotency, Idempotency]):
    await make(pair[0])
    other = Claim(CLAIM.account_id, CLAIM.endpoint, CLAIM.key, b"g" * 32)
    for worker in pair:
        with pytest.raises(IdempotencyMismatch):
            await worker.turn(other)
        assert isinstance(await worker.turn(CLAIM), Stored)


async def test_an_answer_that_is_too_large_is_sent_and_not_kept(pair: tuple[Idempotency, Idempotency]):
    await make(pair[0], bytes(MAX_BODY_BYTES))
    assert isinstance(await pair[0].turn(CLAIM), Stored)
    for worker in pair:
        turn = await worker.turn(larger := Claim("acme", "/v1/dispatch", "key-2", b"f" * 32))
        assert isinstance(turn, Flight), larger
        client = Client()
        async with worker.making(turn, client) as recording:
            recording.response_bytes(200, HEADERS, bytes(MAX_BODY_BYTES + 1))
        assert len(client.body) == MAX_BODY_BYTES + 1
        await asyncio.sleep(0.1)


async def test_who_waits_for_an_answer_that_is_not_kept_makes_one_of_its_own(pair: tuple[Idempotency, Idempotency]):
    making = asyncio.create_task(make(pair[0], bytes(MAX_BODY_BYTES + 1), after_s=0.2))
    await asyncio.sleep(0.05)
    assert isinstance(await pair[0].turn(CLAIM), Flight)
    await making


async def test_a_worker_that_closes_leaves_its_answers_and_gives_up_the_rest(database: Database):
    rows = IdempotencyRows(database)
    closing, next_one = Idempotency(rows, "one", 1.0), Idempotency(rows, "two", 1.0, wait_s=WAIT_S)
    unfinished = Claim("acme", "/v1/dispatch", "key-2", b"f" * 32)
    assert isinstance(await closing.turn(unfinished), Flight)
    await make(closing)
    await closing.close()
    assert isinstance(await next_one.turn(CLAIM), Stored)
    assert isinstance(await next_one.turn(unfinished), Flight)


async def test_while_an_answer_is_made_its_claim_is_extended_and_what_has_expired_is_purged(database: Database):
    rows, worker = IdempotencyRows(database), Idempotency(IdempotencyRows(database), "one", 1.0, sweep_s=0.05)
    await rows.begin(Claim("acme", "/v1/dispatch", "old", b"f" * 32), "dead", 0, 1)
    making = asyncio.create_task(make(worker, after_s=0.5))
    await asyncio.sleep(0.1)
    [old, (_, before_ms)] = await database.fetch(EXPIRES)
    assert old == ("old", 1)
    worker.start()
    await asyncio.sleep(0.3)
    [(name, after_ms)] = await database.fetch(EXPIRES)
    assert name == CLAIM.key
    assert after_ms > before_ms
    await making
    await worker.close()


# --- what is kept ---------------------------------------------------------------------------------------------------


async def test_a_stream_is_kept_when_its_end_mark_was_sent():
    client = Client()
    recording = Recording(client)
    line = recording.response_stream(200, HEADERS)
    await line.send_bytes(b"data: 1\n\n")
    assert recording.broke_off
    assert recording.answer() is None
    await line.send_bytes(b"data: 2\n\n" + DONE)
    assert recording.answer() == Stored(200, tuple(HEADERS), b"data: 1\n\ndata: 2\n\n" + DONE)
    assert client.body == b"data: 1\n\ndata: 2\n\n" + DONE


async def test_a_refusal_and_the_limits_of_the_moment_are_not_kept():
    refusal = Recording(Client())
    refusal.response_bytes(403, HEADERS, b"{}")
    assert refusal.answer() is None
    client = Client()
    limited = Recording(client)
    limited.response_bytes(200, [*HEADERS, ("x-ratelimit-remaining-requests", "7")], b"{}")
    assert limited.answer() == Stored(200, tuple(HEADERS), b"{}")
    assert ("x-ratelimit-remaining-requests", "7") in client.headers


async def test_a_replay_has_an_id_of_its_own_and_names_the_first():
    client = Client()
    replay(Stored(200, tuple(HEADERS), b"{}"), "req_2", client)
    assert sorted(client.headers) == [
        ("content-type", "application/json"),
        ("idempotent-replayed", "true"),
        ("x-nr-first-request-id", "req_1"),
        ("x-nr-request-id", "req_2"),
        ("x-request-id", "req_2"),
    ]
    assert (client.status, client.body) == (200, b"{}")


async def test_who_waits_for_a_stream_that_breaks_is_told_so(pair: tuple[Idempotency, Idempotency]):
    turn = await pair[0].turn(CLAIM)
    assert isinstance(turn, Flight)
    waiting = asyncio.create_task(pair[0].turn(CLAIM))
    await asyncio.sleep(0.05)
    async with pair[0].making(turn, Client()) as recording:
        await recording.response_stream(200, HEADERS).send_bytes(b'data: {"error":{}}\n\n')
    with pytest.raises(UpstreamInterrupted):
        await waiting
    await make(pair[0])
