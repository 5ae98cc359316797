"""Signatures of the native module; checked against the binary by stubtest."""

from collections.abc import Sequence
from typing import final

__all__ = [
    "ROUTE_BLOCKS",
    "ROUTE_DIMENSIONS",
    "ROUTE_VERSION",
    "CachedReply",
    "Classification",
    "Comparison",
    "Engine",
    "Hit",
    "Inspection",
    "Limits",
    "Metrics",
    "Permit",
    "Predictor",
    "Refusal",
    "RejectedBody",
    "RejectedRules",
    "Series",
    "Shield",
    "Verdict",
    "__version__",
    "classify",
    "compare_questions",
    "estimate_tokens",
    "plain_chunk",
    "route_features",
]

__version__: str
ROUTE_BLOCKS: list[int]
"""Where each group of features begins, and the end: named, n-grams, embedding, marks, material, marks by material,
shipped heads."""
ROUTE_DIMENSIONS: int
"""Number of features of a routing row."""
ROUTE_VERSION: bytes
"""Which features rows have, 8 bytes; heads learned by another version are refused."""

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

def route_features(texts: Sequence[str]) -> tuple[bytes, bytes, bytes]:
    """Turn texts into rows of a sparse matrix: row starts (int64), indices (uint32), values (float32), native endian.

    Indices lie below ROUTE_DIMENSIONS. About 30 us for 1 KB; releases the GIL.
    """

@final
class Predictor:
    """The heads of one account, and the prompts whose answers by a cheaper model were poor. Made off the request path.

    `heads` is (name, weights as `evidence.ridge.fit_head` wrote them); `escalated` holds embeddings of 256 bytes.
    Raises ValueError for weights of another version, a name that is taken ("small" and "mid" are), odd bytes.
    """

    def __new__(cls, heads: Sequence[tuple[str, bytes]], escalated: bytes = b"") -> Predictor: ...
    @property
    def names(self) -> list[str]:
        """The names of all heads, as `Inspection.predicted` has them."""

@final
class CachedReply:
    """One stored answer, as it was given to `Engine.store`, and how it was found."""

    @property
    def key(self) -> bytes: ...
    @property
    def kind(self) -> str:
        """How it was found: exact, canonical or semantic."""

    @property
    def similarity(self) -> float:
        """The cosine of both questions; 1 unless the kind is semantic."""

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
    def rules(self) -> list[tuple[str, str, str, float]]:
        """The rules that count, as (id, tier, category, weight)."""

    @property
    def hash(self) -> str: ...

@final
class Comparison:
    """What the semantic levels make of two texts."""

    @property
    def unfit(self) -> str | None:
        """Why one of the texts takes no part; None when both do."""

    @property
    def canonical(self) -> bool:
        """Whether they are one text but for case, punctuation, courtesies and the like."""

    @property
    def similarity(self) -> float | None:
        """Their cosine by the built-in embedder; None where there are no rules for their language."""

    @property
    def likeness(self) -> str | None:
        """What the verifier says: same, close or differs; None where it has no rules."""

    @property
    def rule(self) -> str | None:
        """The rule that tells them apart; None where none does."""

    @property
    def words(self) -> list[str]:
        """What is embedded of each text, as far as they take part."""

def compare_questions(first: str, second: str, *, verifier: str = "strict") -> Comparison:
    """Compare two texts as the semantic levels do. Raises ValueError for a verifier other than strict, std and off."""

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
    def cascade(self) -> bool | None: ...
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
    def scope(self) -> bytes | None:
        """What must be equal in other requests that its answer may be given to; None: it is for itself alone."""

    @property
    def probe(self) -> bytes | None:
        """What other questions are compared with, as `Engine.store` takes it back."""

    @property
    def miss_reason(self) -> str | None:
        """Why no answer to another question was given; None when one was, or nobody looked."""

    @property
    def spent_ns(self) -> tuple[int, int, int, int, int]:
        """Nanoseconds for reading, shield, cache, classification and prediction; next to none for what was not done."""

    @property
    def undecided(self) -> bool:
        """Whether candidates wait for the second embedder to decide on them."""

    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def classification(self) -> Classification | None: ...
    @property
    def predicted(self) -> list[tuple[str, float]]:
        """(head, predicted difference to the reference, -1 to 1), the shipped first; empty when an answer was found."""

    @property
    def escalated(self) -> float:
        """The greatest cosine to a prompt that went wrong; -1 where there is none."""

    @property
    def embedding(self) -> bytes:
        """The last user turn as 256 signed bytes; empty when an earlier answer was found."""

    @property
    def opening(self) -> bytes | None:
        """What this request and those that go on from it have in common; None where nothing comes from a user."""

    @property
    def conversation(self) -> bytes | None:
        """Its opening where it goes on from an earlier request; None where it is the first of its conversation."""

    def classified(self) -> Classification:
        """Task type, complexity and stakes, also where an earlier answer was found; read anew there."""

    def fingerprint(self) -> bytes: ...
    def upstream_body(
        self,
        model: str,
        *,
        stream: bool,
        rename: Sequence[tuple[str, str]] = (),
        drop: Sequence[str] = (),
        max_output_tokens: int | None = None,
    ) -> bytes: ...

@final
class Engine:
    """The native core of one worker: request parser and cache."""

    def __new__(
        cls,
        *,
        cache_bytes: int = 268435456,
        cache_ttl_s: int = 604800,
        similarity_threshold: float = 0.92,
        verifier: str = "strict",
        decides: bool = False,
        per_user: bool = False,
    ) -> Engine: ...
    def inspect(
        self,
        body: bytes,
        tenant: str,
        *,
        model: str | None = None,
        routing_mode: str | None = None,
        read_cache: bool = True,
        shield: Shield | None = None,
        semantic: bool = False,
        threshold: float = 0.0,
        user: str | None = None,
        predictor: Predictor | None = None,
    ) -> Inspection: ...
    def look_again(self, inspection: Inspection) -> CachedReply | None:
        """Look for an answer once more, after others were stored."""

    def decide(self, inspection: Inspection, decider: str, vector: bytes) -> CachedReply | None:
        """Let the second embedder decide: `vector` holds signed bytes, of which only the direction counts."""

    def store(
        self,
        key: bytes,
        body: bytes,
        *,
        deployment: str,
        account: str = "",
        simulated: bool = False,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        stored_at_s: int | None = None,
        scope: bytes | None = None,
        probe: bytes | None = None,
        embedder: str | None = None,
    ) -> bool:
        """Store an answer; false if it is too large or already too old.

        It is found by other questions where `scope`, `probe` and `embedder` are those of an Inspection of this version.
        """

    def attach(self, key: bytes, decider: str, vector: bytes) -> bool:
        """Keep the second embedder's vector (signed bytes) of a stored answer's question; false if it is not here."""

    def forget(self, key: bytes) -> bool: ...
    def purge(
        self,
        *,
        account: str,
        before_s: int,
        scope: bytes | None = None,
        key: bytes | None = None,
        pattern: str | None = None,
    ) -> int:
        """Remove an account's answers stored by a time (Unix seconds) that match all that is given; say how many."""

    def retire(self, scope: bytes, key: bytes, similarity: float) -> bool:
        """Drop an answer that was wrong for a question alike; its scope asks for more likeness from now on."""

    @property
    def embedder(self) -> str:
        """Which table of words the built-in embedder has."""

    @property
    def cache_entries(self) -> int: ...
    @property
    def cache_used_bytes(self) -> int: ...
    @property
    def near_entries(self) -> int:
        """Answers that can be found by other questions."""

@final
class Permit:
    """A request that was let in. It gives its places back when it leaves or is collected.

    The figures are those of the tightest subject, this request counted; None where there is no such limit. A reset is
    the time until one more is free, 0 when one is. Those of tokens are known after `Limits.take_tokens`.
    """

    @property
    def limit_requests(self) -> int | None: ...
    @property
    def remaining_requests(self) -> int | None: ...
    @property
    def reset_requests_ms(self) -> int | None: ...
    @property
    def limit_tokens(self) -> int | None: ...
    @property
    def remaining_tokens(self) -> int | None: ...
    @property
    def reset_tokens_ms(self) -> int | None: ...
    def leave(self, tokens: int | None = None) -> None:
        """Give the places back, and correct reserved tokens to those that were used. Only the first time.

        Without a figure tokens stay as they were reserved.
        """

@final
class Refusal:
    """A request that was not let in: whose limit it was, and when to come back. Nothing was consumed."""

    @property
    def subject(self) -> str: ...
    @property
    def limit(self) -> str:
        """Which limit: requests, tokens or parallel."""

    @property
    def allowed(self) -> int: ...
    @property
    def retry_after_ms(self) -> int | None:
        """When to come back; None when it would be in vain at any time."""

    @property
    def limit_requests(self) -> int | None: ...
    @property
    def remaining_requests(self) -> int | None: ...
    @property
    def reset_requests_ms(self) -> int | None: ...
    @property
    def limit_tokens(self) -> int | None: ...
    @property
    def remaining_tokens(self) -> int | None: ...
    @property
    def reset_tokens_ms(self) -> int | None: ...

@final
class Series:
    """Where one series is counted: by `add` for counters, `observe` for histograms, `set` for gauges.

    Numbers are in what the family counts, as microseconds. A call of another kind does nothing. Raises OverflowError
    for a number that is negative, but for `set`, or has more than 64 bits.
    """

    def add(self, n: int) -> None: ...
    def observe(self, value: int) -> None: ...
    def set(self, value: int) -> None: ...

@final
class Metrics:
    """The metrics of one worker, shared with all workers that name the same directory.

    Made in the worker, after it was forked. A family is (name, help, kind, labels, how many of what is counted make up
    one of the unit in its name, bounds of a histogram's buckets); kinds are `counter`, `histogram`, and for gauges how
    those of several workers become one: `sum`, `most`, `least`. All workers bring the same families. Raises OSError
    when the directory cannot be made or used, ValueError for a family that cannot be written.
    """

    def __new__(
        cls, directory: str, families: Sequence[tuple[str, str, str, Sequence[str], int, Sequence[int]]]
    ) -> Metrics: ...
    def series(self, family: int, values: Sequence[str]) -> Series:
        """Find, or begin, the series of a family, by its place, with these values of its labels.

        Beyond 4,096 series, and for labels of more than a kilobyte, it is that whose labels are all `other`. Raises
        ValueError.
        """

    @property
    def turned_away(self) -> int:
        """How often a series was not kept and another one, `other`, returned instead; of all workers."""

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Write all series as Prometheus reads them: text format 0.0.4, or OpenMetrics 1.0."""

@final
class Limits:
    """The rate limits of one worker, shared with all workers that name the same directory.

    Made in the worker, after it was forked. A limit may be None (unlimited), and may change from call to call.
    Raises OSError when the directory cannot be made or used, or lets other users in.
    """

    def __new__(cls, directory: str) -> Limits: ...
    def enter(self, subjects: Sequence[tuple[str, int | None, int | None]]) -> Permit | Refusal:
        """Let a request in, if every (subject, requests_per_minute, parallel) has room.

        All are looked at before any is claimed. Only when another worker takes the last room of a later subject in
        between has an earlier subject counted a request that was refused. Raises OSError, ValueError.
        """

    def tally(self) -> list[tuple[str, int]]:
        """Return (SHA-256 of a subject in hex, its requests of the last 60 s) of all workers, for all that have any.

        Reads every subject's file: about 10 ms for a thousand. Raises OSError.
        """

    def take_tokens(self, permit: Permit, subjects: Sequence[tuple[str, int | None]], tokens: int) -> Refusal | None:
        """Reserve tokens, if every (subject, tokens_per_minute) has room for them; otherwise none are reserved.

        `permit.leave` corrects them to what was used. Raises OSError, ValueError.
        """
