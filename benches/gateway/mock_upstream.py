"""A mock OpenAI provider: fixed answers, fast, and marked as a mock in every one of them.

    python -m benches.gateway.mock_upstream [--first-byte-ms 50] [--gap-ms 10]

Listens on a free port of 127.0.0.1 and prints it. POST anything: about 700 bytes of JSON with usage, or for
`"stream": true` 20 events, a usage event and `[DONE]`, each an HTTP chunk and a write of its own.
GET anything: how many POSTs it has answered.
"""

import asyncio
import signal

import click
import httptools
import orjson
import uvloop

EVENTS = 20
_TEXT = (
    "This is a mock answer, made for load tests: no model has read the question and nothing here is meant. Its "
    "length is that of a short reply, so that parsing, billing and storing it cost what they would for the answer of "
    "a real model."
)
_BASE = {"id": "chatcmpl-mock", "created": 1_790_000_000, "model": "mock-model", "system_fingerprint": "fp_mock"}
_USAGE = {
    "usage": {
        "prompt_tokens": 248,
        "completion_tokens": 40,
        "total_tokens": 288,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
}


def whole_answer() -> bytes:
    """Return the HTTP answer to a request that does not stream."""
    message = {"role": "assistant", "content": _TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = _BASE | {"object": "chat.completion", "choices": [choice]} | _USAGE
    return _http("application/json", orjson.dumps(answer))


def stream_parts() -> list[bytes]:
    """Return the HTTP answer to a request that streams: head, events, the end, as they are written."""
    chunk = _BASE | {"object": "chat.completion.chunk"}
    pieces, length = EVENTS - 1, len(_TEXT)
    deltas = [{"content": _TEXT[at * length // pieces : (at + 1) * length // pieces]} for at in range(pieces)]
    deltas[0]["role"] = "assistant"
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    events = [orjson.dumps(chunk | {"choices": [choice], "usage": None}) for choice in choices]
    events += [orjson.dumps(chunk | {"choices": []} | _USAGE), b"[DONE]"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\ndata: %b\n\n\r\n" % (len(event) + 8, event) for event in events), b"0\r\n\r\n"]


def _http(content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Upstream:
    """What all connections share."""

    def __init__(self, first_byte_s: float, gap_s: float) -> None:
        self.first_byte_s, self.gap_s = first_byte_s, gap_s
        self.served = 0
        self.whole, self.parts = whole_answer(), stream_parts()


class Connection(asyncio.Protocol):
    """One client; answers its requests one after the other."""

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream = upstream
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    # httptools callbacks
    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, self._body = b"".join(self._body), []
        upstream = self._upstream
        if self._parser.get_method() == b"GET":
            self._transport.write(_http("text/plain", b"%d" % upstream.served))
            return
        upstream.served += 1
        if orjson.loads(body).get("stream"):
            # The head goes with the first event, the end with `[DONE]`: what a provider's server does.
            head, *events, end = upstream.parts
            self._later(upstream.first_byte_s, [head + events[0], *events[1:-1], events[-1] + end], 0)
        elif upstream.first_byte_s:
            self._loop.call_later(upstream.first_byte_s, self._write, upstream.whole)
        else:
            self._transport.write(upstream.whole)

    def _later(self, delay_s: float, parts: list[bytes], nth: int) -> None:
        if delay_s:
            self._loop.call_later(delay_s, self._stream, parts, nth)
        else:
            self._stream(parts, nth)

    def _stream(self, parts: list[bytes], nth: int) -> None:
        if not self._write(parts[nth]) or nth + 1 == len(parts):
            return
        if self._upstream.gap_s:
            self._loop.call_later(self._upstream.gap_s, self._stream, parts, nth + 1)
        else:
            self._loop.call_soon(self._stream, parts, nth + 1)  # the next turn of the loop: a write of its own

    def _write(self, data: bytes) -> bool:
        """Write unless the client has left."""
        if self._transport.is_closing():
            return False
        self._transport.write(data)
        return True


async def serve(first_byte_ms: float, gap_ms: float) -> None:
    """Listen, print the port, and answer until SIGTERM."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    upstream = Upstream(first_byte_ms / 1000, gap_ms / 1000)
    server = await loop.create_server(lambda: Connection(upstream, loop), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()


@click.command()
@click.option("--first-byte-ms", default=0.0, help="Milliseconds before the first byte of an answer.")
@click.option("--gap-ms", default=0.0, help="Milliseconds between the events of a stream.")
def main(first_byte_ms: float, gap_ms: float) -> None:
    """Serve mock answers until told to stop."""
    uvloop.run(serve(first_byte_ms, gap_ms))


if __name__ == "__main__":
    main()
