"""Many clients that go on asking whatever happens, and an account of what each of them got."""

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from arena import DEAR, OUTPUT_TOKENS, TALE, Arena, Payer

from many_clients import Answered, Client

PATIENCE_S = 30.0
"""A request that is not answered by then hangs."""
_prompts = count(1)


def prompt() -> str:
    """A prompt that nobody has sent before and that is as long as all others."""
    return f"{TALE}Tale {next(_prompts):08d}."


def code_of(answer: Answered) -> str:
    """The code of a refusal."""
    return str(json.loads(answer.body)["error"]["code"])


def is_whole(answer: Answered) -> bool:
    """Whether a client got all of an answer."""
    if answer.status != 200:
        return False
    is_stream = answer.headers["content-type"].startswith("text/event-stream")
    return not is_stream or answer.body.endswith(b"data: [DONE]\n\n")


@dataclass
class Storm:
    """What so many clients got: `whole` are the ids of the answers that came to their end."""

    arena: Arena
    payer: Payer
    clients: int
    pause_s: float
    whole: list[str] = field(default_factory=list)
    refused: Counter[tuple[int, str]] = field(default_factory=Counter)
    broken: int = 0
    hung: int = 0
    slowest_refusal_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    is_over: bool = False

    def rate(self) -> float:
        """Whole answers a second."""
        return len(self.whole) / (self.ended_s - self.began_s)

    def told(self) -> str:
        refused = ", ".join(f"{n}x {status} {code}" for (status, code), n in self.refused.items())
        return (
            f"{len(self.whole)} whole answers in {self.ended_s - self.began_s:.1f} s ({self.rate():.0f}/s), "
            f"{self.broken} broken, {self.hung} hung, refused: {refused or 'none'} "
            f"(slowest after {self.slowest_refusal_s:.1f} s)"
        )

    async def blow(self) -> None:
        """Ask until it is over."""
        await asyncio.gather(*(self._client(number) for number in range(self.clients)))

    async def _client(self, number: int) -> None:
        while not self.is_over:
            try:
                async with Client(self.arena.gateway, self.payer.key) as client:
                    while not self.is_over:
                        await self._ask(client, stream=number % 2 == 0)
                        await asyncio.sleep(self.pause_s)
            except (OSError, EOFError):
                await asyncio.sleep(0.05)

    async def _ask(self, client: Client, *, stream: bool) -> None:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await client.ask(prompt(), model=DEAR, stream=stream, max_tokens=OUTPUT_TOKENS)
        except TimeoutError:
            self.hung += 1
            raise ConnectionError from None
        except (OSError, EOFError):
            self.broken += 1
            raise
        if is_whole(answer):
            self.whole.append(answer.headers["x-nr-request-id"])
        elif answer.status == 200:
            self.broken += 1
        else:
            self.refused[answer.status, code_of(answer)] += 1
            self.slowest_refusal_s = max(self.slowest_refusal_s, time.monotonic() - began_s)


@contextlib.contextmanager
def storm_over(arena: Arena, payer: Payer, clients: int = 24, pause_s: float = 0.02) -> Iterator[Storm]:
    """Let clients ask, on a thread of their own, for as long as the block lasts; what is under way is waited for."""
    storm = Storm(arena, payer, clients, pause_s)
    thread = threading.Thread(target=lambda: asyncio.run(storm.blow()), name="storm", daemon=True)
    thread.start()
    try:
        yield storm
    finally:
        storm.is_over = True
        thread.join(2 * PATIENCE_S)
        storm.ended_s = time.monotonic()
    assert not thread.is_alive(), "clients never came to an end"
