"""Many clients at once, each on a connection of its own: as little of our own work as possible between two requests."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from live_gateway import LiveGateway


@dataclass(frozen=True)
class Answered:
    """One response: status, headers by lower-case name, and the body with its framing taken off."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One keep-alive connection; asks one thing after another."""

    def __init__(self, gateway: LiveGateway, key: str | None = None) -> None:
        host, _, port = gateway.url.removeprefix("http://").partition(":")
        self._place = host, int(port)
        self._key = key or gateway.api_key

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._place)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def ask(self, prompt: str, **fields: Any) -> Answered:  # noqa: ANN401  members of the body
        """Ask `/v1/chat/completions` and read the answer to its end."""
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": prompt}], **fields}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        return await self._answer()

    async def _answer(self) -> Answered:
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if "content-length" in headers:
            return Answered(status, headers, await self._reader.readexactly(int(headers["content-length"])))
        parts: list[bytes] = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return Answered(status, headers, b"".join(parts))


async def ask_all(gateway: LiveGateway, clients: int, each: int, label: str) -> list[Answered]:
    """Let so many clients ask so much each, every second answer as a stream; no two prompts are the same."""

    async def one(client_number: int) -> list[Answered]:
        async with Client(gateway) as client:
            return [
                await client.ask(f"{label} {client_number}.{n}", stream=bool(n % 2), feature=label) for n in range(each)
            ]

    return [answer for answers in await asyncio.gather(*map(one, range(clients))) for answer in answers]


@contextlib.asynccontextmanager
async def client_of_each_worker(gateway: LiveGateway, key: str) -> AsyncIterator[list[Client]]:
    """One connection to each worker; a request id begins with its worker's own letters."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, Client] = {}
        for attempt in range(200):
            client = await stack.enter_async_context(Client(gateway, key))
            told = (await client.ask(f"who are you {attempt}")).headers["x-request-id"][:16]
            found.setdefault(told, client)
            if len(found) == 2:
                break
            await asyncio.sleep(0.05)  # the other one may still be starting
        assert len(found) == 2, "200 connections reached one worker only"
        yield list(found.values())
