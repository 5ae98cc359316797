"""Asking a fake upstream with the HTTP client, for the client's tests."""

import asyncio
import time
from collections.abc import Callable

from fake_upstream import FakeUpstream, Script, http_reply
from neuralrouting.providers.http import HttpClient, Url

GOOD = http_reply(200, b'{"ok":true}')
ARRIVAL_S = 0.05
"""Long enough for what was sent to be read before something else comes."""
Answered = tuple[int, bytes]


async def ask(http: HttpClient, url: str, body: bytes = b"{}") -> Answered:
    async with asyncio.timeout(5), http.post(Url.parse(url), (), body) as answer:
        return answer.status, await answer.read()


async def read_into(received: list[bytes], http: HttpClient, url: str) -> None:
    """Read in chunks; what came before an error stays in the list."""
    async with asyncio.timeout(5), http.post(Url.parse(url), (), b"") as answer:
        async for data in answer.chunks():
            received += [data]


async def ask_once(http: HttpClient, script: Script) -> Answered:
    async with FakeUpstream(script) as upstream:
        return await ask(http, upstream.url)


async def eventually(true: Callable[[], object], within_s: float = 2.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)
