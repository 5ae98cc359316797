"""What the simulated provider is told to do, by its configuration and by `[[sim ...]]` in the last user text.

`[[sim fail=503 latency_ms=200 token_ms=10 tokens=80 usage=none]]`: any of these keys, in any order.

`fail` is WHAT, WHAT@MODEL, WHAT:RATE or WHAT@MODEL:RATE, several of them with commas between:
    503         the answer has this status (400 to 599)
    refuse      the connection is refused
    timeout     nothing comes until the attempt's deadline
    cut, cut5   the stream breaks after 3 (or 5) chunks; a whole answer breaks off in the middle
    @MODEL      only at this model or deployment id, so that the next one can serve
    :RATE       only for this share (0 to 1) of all requests: the same requests every time
`latency_ms` passes before the first token, `token_ms` between tokens, `tokens` is the answer's length in
words, and `usage` is `none` (left out) or `lie` (absurd).
"""

import hashlib
from typing import Literal

import msgspec

from neuralrouting.catalog import Deployment

Kind = Literal["status", "refuse", "timeout", "cut"]

CUT_AFTER_CHUNKS = 3
MAX_TOKENS = 100_000
MAX_WAIT_MS = 600_000.0
_OPEN, _CLOSE = "[[sim ", "]]"


class Failure(msgspec.Struct, frozen=True):
    """One scripted failure; `number` is the status, or the chunks before the cut."""

    kind: Kind
    number: int = 0
    model: str | None = None
    rate: float = 1.0

    def strikes(self, deployment: Deployment, key: bytes) -> bool:
        """Whether this failure meets this request at this deployment: for the same two always the same."""
        if self.model is not None and self.model not in (deployment.id, deployment.model):
            return False
        if self.rate >= 1:
            return True
        draw = hashlib.blake2b(deployment.id.encode(), key=key[:64], digest_size=8).digest()
        return int.from_bytes(draw, "big") < self.rate * 2**64


class Script(msgspec.Struct, frozen=True):
    """How one request is served. `tokens` None lets the request's own seed choose the length."""

    failures: tuple[Failure, ...] = ()
    latency_ms: float = 0.0
    token_ms: float = 0.0
    tokens: int | None = None
    usage: Literal["true", "none", "lie"] = "true"

    def failure(self, deployment: Deployment, key: bytes) -> Failure | None:
        """Return the first failure that strikes."""
        return next((failure for failure in self.failures if failure.strikes(deployment, key)), None)


def read_failures(text: str) -> tuple[Failure, ...]:
    """Read the value of `fail`; raises ValueError that says which word is not understood."""
    return tuple(_failure(word.strip()) for word in text.split(",") if word.strip())


def directed(script: Script, prompt: str) -> Script:
    """Return the script changed by the prompt's last directive; raises ValueError saying what is wrong."""
    _, found, rest = prompt.rpartition(_OPEN)
    directive, closed, _ = rest.partition(_CLOSE)
    if not (found and closed):
        return script
    for word in directive.split():
        name, _, value = word.partition("=")
        match name:
            case "fail":
                script = msgspec.structs.replace(script, failures=read_failures(value))
            case "latency_ms" | "token_ms":
                script = msgspec.structs.replace(script, **{name: _number(name, value, MAX_WAIT_MS)})
            case "tokens":
                script = msgspec.structs.replace(script, tokens=int(_number(name, value, MAX_TOKENS)))
            case "usage" if value in ("none", "lie", "true"):
                script = msgspec.structs.replace(script, usage=value)
            case _:
                raise ValueError(f"{word!r} is no directive; there are fail, latency_ms, token_ms, tokens, usage")
    return script


def _failure(word: str) -> Failure:
    head, _, rate_text = word.rpartition(":")
    rate = _rate(rate_text) if head else None
    what, _, model = (head if rate is not None else word).partition("@")
    kind, number = _what(what)
    return Failure(kind, number, model or None, 1.0 if rate is None else rate)


def _what(what: str) -> tuple[Kind, int]:
    if what.isdecimal() and 400 <= int(what) < 600:
        return "status", int(what)
    if what == "refuse":
        return "refuse", 0
    if what == "timeout":
        return "timeout", 0
    chunks = what.removeprefix("cut")
    if what.startswith("cut") and (not chunks or chunks.isdecimal()):
        return "cut", int(chunks or CUT_AFTER_CHUNKS)
    raise ValueError(f"fail={what!r} is none of a status from 400 to 599, refuse, timeout, cut, cut<chunks>")


def _rate(text: str) -> float | None:
    """Read a share from 0 to 1; None for anything else, which is part of a model's name."""
    try:
        rate = float(text)
    except ValueError:
        return None
    return rate if 0 <= rate <= 1 else None


def _number(name: str, text: str, limit: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= limit:
        raise ValueError(f"{name}={text!r} is not a number from 0 to {limit:g}")
    return number
