"""What a provider's refusal means: its status and body become one error of our tree, nothing of it is relayed raw."""

import re

import orjson

from neuralrouting.errors import (
    UpstreamAuth,
    UpstreamBadResponse,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamRejected,
    UpstreamTimeout,
)

MAX_MESSAGE_CHARS = 2_000
MIN_SECRET_CHARS = 8
"""Shorter keys are placeholders ("none", "ollama"); to scrub them would spoil plain words."""
_SECRET = re.compile(r"(?i)\b(?:bearer\s+\S+|(?:sk|gsk|key|nr|AIza|xai|pplx)[-_][\w.-]{6,}|https?://\S+)")
_CONTEXT = (
    "context_length", "context length", "maximum context", "context limit", "context window", "context size",
    "prompt is too long", "input is too long",
)  # fmt: skip
_NO_BALANCE = ("insufficient_quota", "billing", "credit balance")


def fault_of(status: int, headers: dict[str, str], body: bytes, provider: str, secret: str = "") -> UpstreamError:
    """Return (never raise) the error that stands for a provider's answer.

    `status` is the provider's, 200 for an error object inside a 200. The message names the provider, is at most
    2,000 characters, and is scrubbed of `secret`, the key in use, and of anything that looks like a key or a URL.
    """
    kind, code, message = _read(body, secret)
    fault = _fault(status, kind, code, message, provider)
    fault.provider_status = status
    fault.retry_after_s = _retry_after(headers)
    return fault


def scrub(text: str, secret: str = "") -> str:
    """Remove a secret, what looks like one, and addresses; bound the length."""
    if len(secret) >= MIN_SECRET_CHARS:
        text = text.replace(secret, "***")
    return _SECRET.sub("***", text)[:MAX_MESSAGE_CHARS]


def _fault(status: int, kind: str, code: str, message: str, provider: str) -> UpstreamError:  # noqa: PLR0911  a table
    said = f"{provider} answered {status}" + (f": {message}" if message else "")
    if _is_refusal(status, kind, code, message.lower()):
        return UpstreamRefused(said)
    if status in (401, 402, 403) or _is_unpaid(status, f"{kind} {code}", message.lower()):
        return UpstreamAuth(f"{provider} refused the operator's key or has no balance left; the operator must look")
    if status == 429:
        return UpstreamRateLimited(said)
    if status in (503, 529) or "overloaded" in kind:
        return UpstreamOverloaded(said)
    if status in (408, 504):
        return UpstreamTimeout(said)
    if 400 <= status < 500 and status not in (409, 425):  # those two say: not now
        return rejected(status, code, message, said)
    if 200 <= status < 300:
        return UpstreamBadResponse(f"{provider} put an error into a {status} answer: {message}")
    return UpstreamError(said)


def _is_refusal(status: int, kind: str, code: str, lowered: str) -> bool:
    """The prompt was refused by policy. OpenRouter says so with a 403, which must not pass for a bad key."""
    if "content_filter" in (kind, code) or "content_policy" in code:
        return True
    return status == 403 and ("flagged" in lowered or "moderation" in lowered)


def _is_unpaid(status: int, label: str, lowered: str) -> bool:
    """The operator's balance is spent. A message may quote the request, so it counts only where it cannot."""
    if any(mark in label for mark in _NO_BALANCE):
        return True
    if status == 400:  # how Anthropic puts it
        return lowered.startswith("your credit balance")
    return status == 429 and any(mark in lowered for mark in _NO_BALANCE)


def rejected(status: int, code: str, message: str, said: str) -> UpstreamRejected:
    """A 4xx that is about the request: another model may still take it when it is about this model's limits."""
    lowered = message.lower()
    if any(mark in code or mark in lowered for mark in _CONTEXT):
        return ModelLimit(said, code="context_length_exceeded")
    if status == 404 or "model_not_found" in code or "unsupported" in code or "not supported" in lowered:
        return ModelLimit(said, code="upstream_unsupported")
    return UpstreamRejected(said)


class ModelLimit(UpstreamRejected):
    """The request does not fit this model; one with other limits may take it."""

    failover = True


def _read(body: bytes, secret: str) -> tuple[str, str, str]:
    """Type, code and scrubbed message of an error body in OpenAI's, Anthropic's or a plain shape."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", "", ""  # an HTML page says nothing a client should see
    error = data.get("error", data) if isinstance(data, dict) else None
    if isinstance(error, str):
        return "", "", scrub(error, secret)
    if not isinstance(error, dict):
        return "", "", ""
    return str(error.get("type") or ""), str(error.get("code") or ""), scrub(str(error.get("message") or ""), secret)


def _retry_after(headers: dict[str, str]) -> float | None:
    """Seconds from Retry-After; dates, negative and absurd values are ignored."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 120 else None
