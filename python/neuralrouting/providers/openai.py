"""Every provider that speaks OpenAI's chat completions: a row of data each."""

from collections.abc import AsyncGenerator, Sequence

import msgspec
import orjson

from neuralrouting.engine import plain_chunk
from neuralrouting.errors import UpstreamBadResponse, UpstreamInterrupted
from neuralrouting.exchange import Chunk, JsonObject, PlainChunk
from neuralrouting.providers.base import Call, Completion
from neuralrouting.providers.connection import HttpAnswer
from neuralrouting.providers.faults import fault_of, scrub
from neuralrouting.providers.http import HttpClient, Url
from neuralrouting.providers.repair import ChunkRepair, repair_completion
from neuralrouting.providers.sse import Event, SseParser


class Quirks(msgspec.Struct, frozen=True):
    """Top-level fields that a provider knows under another name, or answers with an error to."""

    rename: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()


class OpenAIProvider:
    """An OpenAI-compatible endpoint. `base_url` ends before `/chat/completions`."""

    simulated = False

    def __init__(
        self, name: str, http: HttpClient, base_url: str, api_key: str | None, quirks: Quirks | None = None
    ) -> None:
        self.name = name
        self._http = http
        self._url = Url.parse(base_url.rstrip("/") + "/chat/completions")
        self._key = api_key or ""
        self._headers = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._quirks = quirks or Quirks()

    async def complete(self, call: Call) -> Completion:
        """Return the whole answer; see `Provider.complete`."""
        async with self._http.post(self._url, self._headers, self._body(call, stream=False)) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise fault_of(answer.status, answer.headers, body, self.name, self._key)
        return self._completion(body)

    async def stream(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        """Yield batches of chunks; see `Provider.stream`."""
        async with self._http.post(self._url, self._headers, self._body(call, stream=True)) as answer:
            if answer.status != 200:
                raise fault_of(answer.status, answer.headers, await answer.read(), self.name, self._key)
            self._expect_events(answer)
            parser, reader = SseParser(), _ChunkReader(self.name, self._key, call.inspection.n)
            async for data in answer.chunks():
                if batch := reader.read(parser.feed(data)):
                    yield batch
                if reader.ended:
                    return
            if batch := reader.read(parser.close()):
                yield batch
            if not reader.ended and not reader.finished:
                raise UpstreamInterrupted(f"{self.name} ended its stream before the answer was complete")

    def _body(self, call: Call, *, stream: bool) -> bytes:
        served, quirks = call.deployment, self._quirks
        rename = (*served.rename, *quirks.rename)
        return call.inspection.upstream_body(
            served.upstream_model,
            stream=stream,
            rename=rename,
            drop=quirks.drop,
            max_output_tokens=call.output_limit,
        )

    def _completion(self, body: bytes) -> Completion:
        data = _object(body, f"{self.name} answered with something", self.name, self._key)
        if repair_completion(data):
            body = orjson.dumps(data)
        return Completion(body, data)

    def _expect_events(self, answer: HttpAnswer) -> None:
        kind = answer.headers.get("content-type", "no content type").partition(";")[0]
        if kind.strip().lower() != "text/event-stream":
            raise UpstreamBadResponse(f"{self.name} answered a stream with {scrub(kind, self._key)}")


class _ChunkReader:
    """Turns events into mended chunks and knows when the stream is over."""

    def __init__(self, provider: str, key: str, choices: int) -> None:
        self.ended = self._begun = False
        self._provider = provider
        self._key = key
        self._choices = choices
        self._finished: set[int] = set()
        self._repair = ChunkRepair()

    @property
    def finished(self) -> bool:
        """Whether every choice has told why it ended."""
        return len(self._finished) >= self._choices

    def read(self, events: list[Event]) -> list[Chunk]:
        """Return the chunks of these events; raises for an error object and for what is not JSON."""
        chunks: list[Chunk] = []
        for event in events:
            # JSON over several data lines is passed on in one: a line end would break the event it goes out in.
            plain = plain_chunk(event.data) if self._begun and b"\n" not in event.data else None
            if plain is not None:
                chunks.append(PlainChunk(*plain))
            elif event.data.startswith(b"[DONE]"):
                self.ended = True
                break
            else:
                chunks.append(self._chunk(event.data))
                self._begun = True
        return chunks

    def _chunk(self, data: bytes) -> JsonObject:
        chunk = _object(data, f"{self._provider} sent a chunk", self._provider, self._key)
        self._repair.mend(chunk)
        self._finished.update(c["index"] for c in chunk["choices"] if c.get("finish_reason"))
        return chunk


def _object(data: bytes, said: str, provider: str, key: str) -> JsonObject:
    """Parse what a provider sent with status 200; raises for what is no JSON object and for an error in its place."""
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpstreamBadResponse(f"{said} that is not JSON") from error
    if not isinstance(parsed, dict):
        raise UpstreamBadResponse(f"{said} that is not a JSON object")
    if parsed.get("error"):
        raise fault_of(200, {}, data, provider, key)
    return parsed
