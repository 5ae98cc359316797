"""`Idempotency-Key`: the same request under the same key is answered once, and once more from what is kept."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from neuralrouting.api.recording import Recording, Responder
from neuralrouting.api.wire import request_headers
from neuralrouting.clock import unix_ms
from neuralrouting.engine import Inspection
from neuralrouting.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    NeuralRoutingError,
    RequestError,
    Unavailable,
    UpstreamInterrupted,
)
from neuralrouting.exchange import Arrival
from neuralrouting.storage.idempotency import Claim, IdempotencyRows, Mine, Mismatch, Running, Stored

HEADER = "idempotency-key"
WAIT_S = 30.0
"""How long a repeated request waits for the first answer."""
WAITERS = 100
"""Requests of this worker that wait for one answer; more are sent away."""
POLL_S = 0.1
"""How often an answer that another worker makes is looked for."""
CLAIM_MS = 300_000
"""An unfinished claim counts for this long unless its worker, by living, extends it."""
SWEEP_S = 60.0
"""How often a worker extends what it makes and deletes what has expired."""
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
TAKEN_BACK_S = 1.0
"""How long a failure waits for its claim to be given up, so that the retry it provokes finds the way free."""
CLOSE_S = 5.0

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_log = logging.getLogger("neuralrouting.api")


def claim_of(key: str, arrival: Arrival, inspection: Inspection) -> Claim:
    """Read the header's value; raises RequestError (400) where it is none.

    All that the request asks for counts as the same request: its body, the hints in its headers, the kind of its key.
    """
    if not _KEY.fullmatch(key):
        raise RequestError("Idempotency-Key must be 1 to 255 printable ASCII characters", param=HEADER)
    asked = msgspec.json.encode((arrival.hints, arrival.caller.live))
    fingerprint = hashlib.sha256(inspection.fingerprint() + asked).digest()
    return Claim(arrival.caller.account_id, arrival.hints.endpoint, key, fingerprint)


def replay(answer: Stored, request_id: str, responder: Responder) -> None:
    """Send a kept answer once more, in one piece, under an id of its own."""
    first_id = dict(answer.headers).get("x-nr-request-id", "")
    own = request_headers(request_id)
    names = {name for name, _ in own}
    headers = [*own, *(header for header in answer.headers if header[0] not in names)]
    headers += [("idempotent-replayed", "true"), ("x-nr-first-request-id", first_id)]
    _log.info("request %s repeats the answer of %s", request_id, first_id)
    responder.response_bytes(answer.status, headers, answer.body)


class Flight:
    """One answer that this worker makes or looks for, and who waits for it.

    It stays until its row is settled: a database that is away neither loses an answer nor lets it be made twice.
    """

    __slots__ = ("claim", "outcome", "settled", "waiters")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.outcome: asyncio.Future[Stored | NeuralRoutingError | None] = asyncio.get_running_loop().create_future()
        self.settled = asyncio.Event()
        self.waiters = 0

    @property
    def over(self) -> bool:
        """Whether it ended without an answer that could be repeated."""
        return self.outcome.done() and not isinstance(self.outcome.result(), Stored)

    def land(self, outcome: Stored | NeuralRoutingError | None) -> None:
        """Tell everybody who waits; None: there was an answer, but it is not kept."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Idempotency:
    """Who makes which answer, in this worker and beside others. Answers are kept for `hours`."""

    def __init__(
        self,
        rows: IdempotencyRows,
        worker_id: str,
        hours: float,
        *,
        wait_s: float = WAIT_S,
        sweep_s: float = SWEEP_S,
    ) -> None:
        self._rows = rows
        self._worker_id = worker_id
        self._kept_ms = int(hours * 3_600_000)
        self._wait_s = wait_s
        self._sweep_s = sweep_s
        self._flights: dict[Claim, Flight] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to sweep expired rows; needs a running event loop."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="idempotency-sweeper")

    async def close(self) -> None:
        """Keep what is not kept yet, give up what is not finished."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        if self._settling:
            await asyncio.wait(self._settling, timeout=CLOSE_S)
        self._closed = True
        for task in [*self._settling]:
            task.cancel()
        try:
            await self._rows.forget_worker(self._worker_id)
        except Unavailable as error:
            _log.warning("unfinished idempotency keys block their retries for a while: %s", error.message)

    async def turn(self, claim: Claim) -> Stored | Flight:
        """Return the answer that was made for this claim, or the flight in which the caller makes it (`making`).

        Waits while it is being made. Raises IdempotencyMismatch (422), IdempotencyInFlight (409), Unavailable (503)
        when the database cannot tell, and what the first request failed with, where this one waited for it.
        """
        deadline_s = _now_s() + self._wait_s
        while True:
            flight = self._flights.get(claim)
            if flight is None:
                flight = self._flights[claim] = Flight(claim)
                answer = await self._lead(flight, deadline_s)
                return flight if answer is None else answer
            if flight.over:
                await _until_settled(flight)
            elif (answer := await _join(flight, deadline_s)) is not None:
                return answer

    @asynccontextmanager
    async def making(self, flight: Flight, responder: Responder) -> AsyncGenerator[Recording]:
        """Send the answer through what this gives: it is kept when whole, and given up when it fails."""
        recording = Recording(responder)
        try:
            yield recording
        except BaseException as error:
            await self._give_up(flight, error)
            raise
        answer = recording.answer()
        flight.land(_broke_off() if recording.broke_off else answer)
        self._settle(flight, answer)  # the next request here is answered from the flight until the row is written

    async def _lead(self, flight: Flight, deadline_s: float) -> Stored | None:
        """Look for the answer on behalf of all; None: it is ours to make."""
        try:
            answer = await self._claimed(flight.claim, deadline_s)
        except RequestError as error:  # the claim is somebody else's
            flight.land(error)
            self._forget(flight)
            raise
        except BaseException as error:  # it may have been taken
            await self._give_up(flight, error)
            raise
        if answer is not None:
            flight.land(answer)
            self._forget(flight)
        return answer

    async def _claimed(self, claim: Claim, deadline_s: float) -> Stored | None:
        while True:
            now_ms = unix_ms()
            found = await self._rows.begin(claim, self._worker_id, now_ms, now_ms + CLAIM_MS)
            while isinstance(found, Running):
                if _now_s() >= deadline_s:
                    raise _in_flight()
                await asyncio.sleep(POLL_S)
                found = await self._rows.find(claim, unix_ms())
            if isinstance(found, Mismatch):
                raise IdempotencyMismatch(
                    "this Idempotency-Key came with another request before; use a new key for a new request",
                    param=HEADER,
                )
            if found is not None:
                return None if isinstance(found, Mine) else found

    async def _give_up(self, flight: Flight, error: BaseException) -> None:
        """End a flight that failed: whoever waits fails alike, whoever comes after that runs anew."""
        if isinstance(error, NeuralRoutingError):
            flight.land(error)
        else:
            flight.land(NeuralRoutingError("the first request under this Idempotency-Key failed; send it again"))
        await asyncio.wait([self._settle(flight, None)], timeout=TAKEN_BACK_S)

    def _settle(self, flight: Flight, answer: Stored | None) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._written(flight, answer))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _written(self, flight: Flight, answer: Stored | None) -> None:
        """Keep the answer, or give the claim up, as often as it takes."""
        delay_s = FIRST_RETRY_S
        try:
            while not self._closed and not await self._write(flight.claim, answer):
                await asyncio.sleep(delay_s)
                delay_s = min(LAST_RETRY_S, 2 * delay_s)
        finally:
            self._forget(flight)

    async def _write(self, claim: Claim, answer: Stored | None) -> bool:
        try:
            if answer is None:
                await self._rows.abandon(claim, self._worker_id)
            else:
                await self._rows.finish(claim, self._worker_id, answer, unix_ms() + self._kept_ms)
        except Unavailable as error:
            _log.warning("an Idempotency-Key waits to be settled: %s", error.message)
            return False
        return True

    def _forget(self, flight: Flight) -> None:
        del self._flights[flight.claim]
        flight.settled.set()

    async def _sweep(self) -> None:
        """Extend what this worker is making, and delete what has expired."""
        while True:
            await asyncio.sleep(self._sweep_s)
            try:
                now_ms = unix_ms()
                if self._flights:
                    await self._rows.extend(self._worker_id, now_ms + CLAIM_MS)
                while await self._rows.purge(now_ms):
                    pass
            except Unavailable as error:
                _log.warning("expired idempotency keys wait to be purged: %s", error.message)


async def _until_settled(flight: Flight) -> None:
    """Wait until a failed flight is out of the way."""
    try:
        async with asyncio.timeout(TAKEN_BACK_S):
            await flight.settled.wait()
    except TimeoutError:
        raise Unavailable(
            "the database does not answer, so that this Idempotency-Key cannot be used; try again", retry_after_s=2.0
        ) from None


async def _join(flight: Flight, deadline_s: float) -> Stored | None:
    """Wait for an answer that is being made here; None: there was one, but it is not kept."""
    if flight.waiters >= WAITERS and not flight.outcome.done():
        raise _in_flight()
    flight.waiters += 1
    try:
        done, _ = await asyncio.wait([flight.outcome], timeout=max(0.0, deadline_s - _now_s()))
    finally:
        flight.waiters -= 1
    if not done:
        raise _in_flight()
    outcome = flight.outcome.result()
    if isinstance(outcome, NeuralRoutingError):
        raise outcome
    return outcome


def _broke_off() -> UpstreamInterrupted:
    return UpstreamInterrupted("the first answer under this Idempotency-Key broke off; send it again")


def _in_flight() -> IdempotencyInFlight:
    return IdempotencyInFlight(
        "the first request under this Idempotency-Key is still being answered; send it again in a moment",
        param=HEADER,
        retry_after_s=2.0,
    )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
