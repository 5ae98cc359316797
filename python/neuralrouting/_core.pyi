"""Signatures of the native module; checked against the binary by stubtest."""

from collections.abc import Sequence
from typing import final

__all__ = [
    "CachedReply",
    "Classification",
    "Engine",
    "Hit",
    "Inspection",
    "RejectedBody",
    "RejectedRules",
    "Shield",
    "Verdict",
    "__version__",
    "classify",
    "estimate_tokens",
    "plain_chunk",
]

__version__: str

class RejectedBody(ValueError):
    """The body was refused. `args` is (status: int, code: str, message: str, param: str | None)."""

class RejectedRules(ValueError):
    """A rule pack was refused. `args` is (message: str, line: int | None, rule: str | None)."""

def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text has; within a few percent of o200k for English prose."""

def classify(text: str) -> Classification:
    """Classify one text as if it were the only message."""

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
class Classification:
    """What kind of task a prompt is, how hard it is, and whether a wrong answer could hurt someone. Read-only."""

    @property
    def task(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def abstained(self) -> bool: ...
    @property
    def probabilities(self) -> list[tuple[str, float]]: ...
    @property
    def complexity(self) -> float: ...
    @property
    def high_risk(self) -> bool: ...
    @property
    def risk_probability(self) -> float: ...
    @property
    def risk_domain(self) -> str | None: ...
    @property
    def contributions(self) -> list[tuple[str, float]]: ...
    @property
    def tool_loop(self) -> bool: ...
    @property
    def tool_errors(self) -> int: ...

@final
class Hit:
    """One finding of the shield: which rule, where, in which view of the text, with how much weight."""

    @property
    def rule(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def via(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def message(self) -> int | None: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def excerpt(self) -> str: ...

@final
class Verdict:
    """What one scan found: a risk from 0 to 1 and the evidence, strongest first."""

    @property
    def risk(self) -> float: ...
    @property
    def tier(self) -> str | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def channel(self) -> str | None: ...
    @property
    def rules(self) -> list[str]: ...
    @property
    def hits(self) -> list[Hit]: ...
    @property
    def model(self) -> float: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def text_sha256(self) -> bytes | None: ...
    def risk_in(self, channel: str) -> float: ...

@final
class Shield:
    """A compiled rule pack: the built-in rules, changed by an operator's TOML, and the linear model.

    Raises RejectedRules for rules that cannot be used.
    """

    def __new__(cls, *rules: str, model: bool = True) -> Shield: ...
    def scan(self, text: str, *, channel: str = "user") -> Verdict: ...
    @property
    def hash(self) -> str: ...

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
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def classification(self) -> Classification | None: ...
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
        shield: Shield | None = None,
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
