"""Which model each conversation is at: what one worker remembers of its last answers, bounded in number and age."""

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

from neuralrouting.exchange import Mode
from neuralrouting.layers.routing import CACHED_S, Stay

MOST = 20_000
"""Conversations that one worker remembers, 10 MB as measured; the one that was quiet longest goes first."""
KEPT_S = 3_600.0
"""How long a conversation is remembered after its last answer: a tool loop may wait long for its tools. Ours."""


class Answered(msgspec.Struct, frozen=True, gc=False):
    """The last answer of a conversation. `opening` tells whether the next prompt goes on from this one.

    `prompt_tokens` is what the provider has seen, its own answer included; `at_s` is on the clock of who remembers.
    """

    deployment: str
    mode: Mode
    opening: bytes | None
    prompt_tokens: int
    completion_tokens: int
    at_s: float


class Conversations:
    """Remembers answers by conversation; the keys of two accounts never meet, since the account is part of them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last: OrderedDict[Hashable, Answered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def keep(self, key: Hashable, answered: Answered) -> None:
        """Remember an answer as the last one of its conversation."""
        self._last[key] = answered
        self._last.move_to_end(key)
        if len(self._last) > self._most:
            self._last.popitem(last=False)

    def stay(self, key: Hashable, opening: bytes | None, now_s: float, *, tool_loop: bool) -> Stay | None:
        """Return where a conversation is, None where nothing is known of it or it was quiet for too long."""
        last = self._last.get(key)
        if last is None:
            return None
        if now_s - last.at_s > KEPT_S:
            del self._last[key]
            return None
        cached = last.prompt_tokens if now_s - last.at_s <= CACHED_S and opening == last.opening else 0
        return Stay(last.deployment, last.mode, cached, last.completion_tokens, tool_loop)
