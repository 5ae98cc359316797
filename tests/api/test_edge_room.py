"""What becomes of requests while the database is so far behind that nothing more may be let in."""

import asyncio
import time
from typing import Any, cast

import orjson
import pytest
from granian.rsgi import HTTPProtocol, Scope

from neuralrouting.api.bridge import AsgiBridge
from neuralrouting.api.door import Door
from neuralrouting.api.edge import Edge
from neuralrouting.api.hot import HotRoute
from neuralrouting.api.room import ROOM_S, Room

pytestmark = pytest.mark.anyio


class FullQueue:
    """It has room once it is told so."""

    def __init__(self) -> None:
        self.has_room = asyncio.Event()

    @property
    def full(self) -> bool:
        return not self.has_room.is_set()

    async def room(self) -> None:
        await self.has_room.wait()


class Numbers:
    """What is asked of the door here."""

    def request_id(self) -> str:
        return "req_1"


class Post:
    """What is asked of a scope here."""

    path, method = "/hot", "POST"


class Client:
    """Where answers go."""

    status, body = 0, b""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body


async def serve(_id: str, _scope: Scope, protocol: Any) -> None:  # noqa: ANN401  the client above
    protocol.response_bytes(200, [], b"served")


async def ask(queue: FullQueue) -> Client:
    client = Client()
    hot = {"/hot": cast("HotRoute", serve)}
    edge = Edge(hot, cast("AsgiBridge", serve), cast("Door", Numbers()), Room((queue,), 10))
    await edge(cast("Scope", Post()), cast("HTTPProtocol", client))
    return client


async def test_who_finds_no_room_is_told_so_and_not_left_waiting():
    began_s = time.monotonic()
    client = await ask(FullQueue())
    assert time.monotonic() - began_s < ROOM_S + 1
    assert (client.status, orjson.loads(client.body)["error"]["code"]) == (503, "ledger_unavailable")
    assert int(client.headers["retry-after"]) > 0


async def test_who_finds_room_in_time_is_served():
    queue = FullQueue()
    asyncio.get_running_loop().call_later(0.1, queue.has_room.set)
    assert (await ask(queue)).body == b"served"
