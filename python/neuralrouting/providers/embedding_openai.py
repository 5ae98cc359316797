"""A second embedder elsewhere: any endpoint that speaks OpenAI's embeddings, within a budget of time."""

import asyncio
import math

import msgspec
import orjson

from neuralrouting.errors import UpstreamBadResponse, UpstreamError
from neuralrouting.providers.embedding import DIMENSIONS_MOST, Complaints, Runs, signed
from neuralrouting.providers.http import HttpClient, Url

AT_ONCE = 32
"""Texts under way at a time; what comes beyond them is a miss."""
LATE_S = 2.0
"""How long a call may go on when nobody waits for it any more: it brings the vector for storing, and a warm connection.

Without that a budget shorter than a TLS handshake would end every call before its connection is of use to the next.
"""
FAILURES, REST_S = 5, 10.0
"""After so many calls in a row that failed or came late, nobody is made to wait for that many seconds."""
ANSWER_BYTES = 256 * 1024
"""Longest answer that is read: 4,096 numbers in full length take 100 KB."""


class _Datum(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Datum]


class OpenAIDecider:
    """Asks `{base_url}/embeddings` for `model`; every way to fail is a miss, none an error."""

    def __init__(
        self, http: HttpClient, base_url: str, model: str, api_key: str | None = None, timeout_ms: float = 100.0
    ) -> None:
        self._http = http
        self._url = Url.parse(base_url.rstrip("/") + "/embeddings")
        self._headers = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        http.post(self._url, self._headers, b"")  # raises now for a key that no header can hold
        self._model = model
        self.id = f"openai:{self._url.host}/{model}"
        self._budget_s = timeout_ms / 1000
        self._runs = Runs(self._run, AT_ONCE)
        self._complaints = Complaints(self.id)
        self._dimensions: int | None = None
        self._failures = 0
        self._rests_until_s = -math.inf
        self.rest_s = REST_S

    async def embed(self, text: str) -> bytes | None:
        """Return a text's vector; None when it takes longer than the budget, fails, or failed too often just before."""
        if asyncio.get_running_loop().time() < self._rests_until_s:
            return self._runs.known(text)
        return await self._runs.vector(text, self._budget_s)

    async def close(self) -> None:
        """Give up the calls under way."""
        await self._runs.close()

    async def _run(self, text: str) -> bytes | None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._budget_s
        late = loop.call_at(until_s, self._failed, "no answer in time")
        try:
            async with asyncio.timeout(max(LATE_S, self._budget_s)):
                vector = self._checked(await self._answer(text))
        except (UpstreamError, TimeoutError) as error:
            if loop.time() < until_s:
                self._failed(error)
            return None
        finally:
            late.cancel()
        if loop.time() < until_s:
            self._failures = 0
        return vector

    async def _answer(self, text: str) -> bytes:
        body = orjson.dumps({"model": self._model, "input": text, "encoding_format": "float"})
        async with self._http.post(self._url, self._headers, body) as answer:
            if answer.status != 200:
                raise UpstreamBadResponse(f"it answered with status {answer.status}")
            found = bytearray()
            async for data in answer.chunks():
                found += data
                if len(found) > ANSWER_BYTES:
                    raise UpstreamBadResponse(f"its answer is over {ANSWER_BYTES:,} bytes")
        return bytes(found)

    def _checked(self, body: bytes) -> bytes:
        """Read one vector, of as many numbers as those before it."""
        numbers = _numbers(body)
        dimensions = self._dimensions or len(numbers)
        if not 0 < len(numbers) <= DIMENSIONS_MOST or len(numbers) != dimensions:
            before = f", those before had {dimensions}" if self._dimensions else ""
            raise UpstreamBadResponse(f"its vector has {len(numbers)} numbers{before}")
        vector = signed(numbers)
        if vector is None:
            raise UpstreamBadResponse("its vector has no direction")
        self._dimensions = dimensions
        return vector

    def _failed(self, reason: object) -> None:
        self._complaints.say(reason)
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures = FAILURES - 1  # the first call after the rest decides whether there is another
            self._rests_until_s = asyncio.get_running_loop().time() + self.rest_s


def _numbers(body: bytes) -> list[float]:
    try:
        found = msgspec.convert(orjson.loads(body), _Embeddings)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        # Neither message is repeated: it may hold a piece of what was sent.
        raise UpstreamBadResponse("its answer holds no embedding") from error
    if len(found.data) != 1:
        raise UpstreamBadResponse(f"it sent {len(found.data)} vectors for one text")
    return found.data[0].embedding
