"""Signatures of the native module; checked against the binary by stubtest."""

from collections.abc import Sequence
from typing import final

__all__ = ["CachedReply", "Engine", "Inspection", "RejectedBody", "__version__", "estimate_tokens", "plain_chunk"]

__version__: str

class RejectedBody(ValueError):
    """The body was refused. `args` is (status: int, code: str, message: str, param: str | None)."""

def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has; within a few percent of o200k for English prose."""

def plain_chunk(data: bytes) -> tuple[bytes, str] | None:
    """Read a chunk that carries nothing but text: its JSON without `usage` and padding, and the text."""

@final
class CachedReply:
    """One stored answer, as it was given to `Engine.store`."""

    @property
    def body(self) -> bytes: ...
    @property
    def deployment(self) -> str: ...
    @property
    def simulated(self) -> bool: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def stored_at_s(self) -> int: ...

@final
class Inspection:
    """What one pass over one request body found out. Read-only."""

    @property
    def key(self) -> bytes: ...
    @property
    def model(self) -> str | None: ...
    @property
    def routing_mode(self) -> str | None: ...
    @property
    def stream(self) -> bool: ...
    @property
    def include_usage(self) -> bool: ...
    @property
    def user(self) -> str | None: ...
    @property
    def session_id(self) -> str | None: ...
    @property
    def feature(self) -> str | None: ...
    @property
    def n(self) -> int: ...
    @property
    def prompt_tokens(self) -> int: ...
    @property
    def max_output_tokens(self) -> int | None: ...
    @property
    def message_count(self) -> int: ...
    @property
    def has_tools(self) -> bool: ...
    @property
    def has_images(self) -> bool: ...
    @property
    def has_audio(self) -> bool: ...
    @property
    def json_mode(self) -> str: ...
    @property
    def logprobs(self) -> bool: ...
    @property
    def last_user_text(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def hit(self) -> CachedReply | None: ...
    def upstream_body(
        self,
        model: str,
        *,
        stream: bool,
        rename: Sequence[tuple[str, str]] = (),
        drop: Sequence[str] = (),
    ) -> bytes: ...

@final
class Engine:
    """The native core of one worker: request parser and exact cache."""

    def __new__(cls, *, cache_bytes: int = 268435456, cache_ttl_s: int = 604800) -> Engine: ...
    def inspect(
        self,
        body: bytes,
        tenant: str,
        *,
        model: str | None = None,
        routing_mode: str | None = None,
        read_cache: bool = True,
    ) -> Inspection: ...
    def store(
        self,
        key: bytes,
        body: bytes,
        *,
        deployment: str,
        simulated: bool = False,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        stored_at_s: int | None = None,
    ) -> bool: ...
    def forget(self, key: bytes) -> bool: ...
    @property
    def cache_entries(self) -> int: ...
    @property
    def cache_used_bytes(self) -> int: ...
