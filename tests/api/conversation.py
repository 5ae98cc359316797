"""How the suites of this folder ask, and read what comes back."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import httpx
import msgspec

from live_gateway import LiveGateway
from neuralrouting.exchange import SecurityEvent
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.security import SecurityRows

CHAT, DISPATCH, DISPATCH_STREAM = "/v1/chat/completions", "/v1/dispatch", "/v1/dispatch/stream"
HOT = (CHAT, DISPATCH, DISPATCH_STREAM)
DONE = "[DONE]"
ASK_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_numbers = count(1)

Json = dict[str, Any]


def new_prompt() -> str:
    """A prompt that nobody has sent before, so that no cache has an answer to it."""
    return f"prompt number {next(_numbers)}."


def ask(prompt: str, **fields: object) -> Json:
    """A request body."""
    return {"model": "auto", "messages": [{"role": "user", "content": prompt}], **fields}


def events(response: httpx.Response) -> list[Any]:
    """The events of a stream, each `data:` line parsed; `[DONE]` stays as it is. Fails on anything else in it."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *blocks, rest = response.text.split("\n\n")
    assert rest == "", "a stream ends with an empty line"
    return [_event(block) for block in blocks]


def chunks(response: httpx.Response) -> list[Json]:
    """The chunks of a stream that came to its end: `[DONE]` once, and nothing after it."""
    *found, last = events(response)
    assert last == DONE
    assert DONE not in found
    return found


def _event(block: str) -> Any:  # noqa: ANN401  whatever was sent
    assert block.startswith("data: "), block
    assert "\n" not in block, "one line an event"
    text = block.removeprefix("data: ")
    return text if text == DONE else json.loads(text)


def text_of(found: list[Json]) -> str:
    """The answer that the chunks of a stream make up."""
    return "".join(part["delta"].get("content") or "" for part in _parts(found))


def finish_of(found: list[Json]) -> list[str]:
    """Every finish reason that was told."""
    return [part["finish_reason"] for part in _parts(found) if part["finish_reason"] is not None]


def _parts(found: list[Json]) -> Iterator[Json]:
    return (part for chunk in found for part in chunk.get("choices", ()))


def said(response: httpx.Response) -> str:
    """The answer's text, in whichever of the four forms it came."""
    if response.headers["content-type"].startswith("text/event-stream"):
        return text_of([chunk for chunk in chunks(response) if chunk["object"] == "chat.completion.chunk"])
    body = response.json()
    return body["output"]["ai_answer"] if "output" in body else body["choices"][0]["message"]["content"]


def envelope(response: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    """Check that this is an error in OpenAI's envelope; return its message."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-nr-request-id"] == response.headers["x-request-id"]
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    assert body["error"]["type"]
    assert body["error"]["message"]
    return body["error"]["message"]


def wait_until(happened: Callable[[], bool], within_s: float) -> float:
    """Wait until something is so; return the seconds it took, fail when it takes longer than it may."""
    started_s = time.monotonic()
    while not happened():
        assert time.monotonic() - started_s < within_s, f"it did not happen within {within_s} s"
        time.sleep(0.005)
    return time.monotonic() - started_s


def row_of(gateway: LiveGateway, response: httpx.Response | str) -> RequestRow:
    """The row of this response or request id, as soon as it is written."""
    request_id = response if isinstance(response, str) else response.headers["x-request-id"]
    return asyncio.run(_row(gateway, request_id))


async def _row(gateway: LiveGateway, request_id: str, within_s: float = 3.0) -> RequestRow:
    columns = ", ".join(RequestRow.__struct_fields__)
    deadline_s = time.monotonic() + within_s
    async with gateway.opened() as database:
        while time.monotonic() < deadline_s:
            found = await database.fetch(f"SELECT {columns} FROM requests WHERE request_id = $1", request_id)
            if found:
                [row] = found
                return msgspec.convert(row, RequestRow, strict=False)
            await asyncio.sleep(0.01)
    raise AssertionError(f"{request_id} left no row")


def events_of(gateway: LiveGateway, response: httpx.Response, account_id: str = "default") -> list[SecurityEvent]:
    """What the audit trail has on this response; requests and events are written by two queues, a moment apart."""
    row_of(gateway, response)
    time.sleep(0.3)

    async def read() -> SecurityEvent | None:
        async with gateway.opened() as database:
            return await SecurityRows(database).find(account_id, response.headers["x-request-id"])

    found = asyncio.run(read())
    return [found] if found is not None else []


def raw_exchange(url: str, *sent: bytes) -> httpx.Response:
    """Send bytes as they are, read one response until the server closes or says nothing for a while."""
    host, _, port = url.removeprefix("http://").partition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            for part in sent:
                connection.sendall(part)
        except ConnectionError:
            pass  # the server has heard enough
        while not _is_whole(received):
            part = connection.recv(65_536)
            if not part:
                break
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return httpx.Response(int(status.split(" ")[1]), headers=headers, content=body)


def _is_whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(separator and length) and len(body) >= int(length[0].partition(b":")[2])
