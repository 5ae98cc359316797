"""Claude over Anthropic's Messages API; the translation is in anthropic_request, _reply and _stream."""

import time
from collections.abc import AsyncGenerator

import orjson

from neuralrouting.errors import UpstreamBadResponse, UpstreamInterrupted
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.anthropic_reply import completion_of
from neuralrouting.providers.anthropic_request import messages_request
from neuralrouting.providers.anthropic_stream import StreamTranslator
from neuralrouting.providers.base import Call, Completion
from neuralrouting.providers.faults import fault_of
from neuralrouting.providers.http import HttpClient, Url
from neuralrouting.providers.sse import SseParser

API_VERSION = "2023-06-01"


class AnthropicProvider:
    """Anthropic's endpoint. `base_url` ends before `/v1/messages`."""

    simulated = False

    def __init__(self, name: str, http: HttpClient, base_url: str, api_key: str) -> None:
        self.name = name
        self._http = http
        self._url = Url.parse(base_url.rstrip("/").removesuffix("/v1") + "/v1/messages")
        self._key = api_key
        self._headers = (("x-api-key", api_key), ("anthropic-version", API_VERSION))

    async def complete(self, call: Call) -> Completion:
        """Return the whole answer; see `Provider.complete`."""
        request = messages_request(call.inspection.body, call.bounded, stream=False)
        async with self._http.post(self._url, self._headers, request) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise fault_of(answer.status, answer.headers, body, self.name, self._key)
        data = completion_of(body, self.name, int(time.time()))
        return Completion(orjson.dumps(data), data)

    async def stream(self, call: Call) -> AsyncGenerator[list[JsonObject], None]:
        """Yield batches of chunks; see `Provider.stream`."""
        request = messages_request(call.inspection.body, call.bounded, stream=True)
        async with self._http.post(self._url, self._headers, request) as answer:
            if answer.status != 200:
                raise fault_of(answer.status, answer.headers, await answer.read(), self.name, self._key)
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise UpstreamBadResponse(f"{self.name} answered a stream with something that is not one")
            parser, translator = SseParser(), StreamTranslator(self.name, int(time.time()))
            async for data in answer.chunks():
                if batch := translator.read(parser.feed(data)):
                    yield batch
                if translator.ended:
                    return
            if batch := translator.read(parser.close()):
                yield batch
            if not translator.ended:
                raise UpstreamInterrupted(f"{self.name} ended its stream before the answer was complete")
