"""The only door to the native module: bytes in, one frozen Inspection out."""

from neuralrouting._core import (  # noqa: TID251  the one door
    CachedReply,
    Engine,
    Inspection,
    RejectedBody,
    __version__,
    estimate_tokens,
    plain_chunk,
)
from neuralrouting.errors import BodyTooLarge, InvalidField, MalformedBody, RequestError

__all__ = [
    "CachedReply",
    "Engine",
    "Inspection",
    "RejectedBody",
    "estimate_tokens",
    "plain_chunk",
    "rejection",
    "version",
]


def rejection(error: RejectedBody) -> RequestError:
    """Turn the native refusal into the error of our tree that has the same status."""
    status, code, message, param = error.args
    kind = {413: BodyTooLarge, 422: InvalidField}.get(status, MalformedBody)
    return kind(message, code=code, param=param)


def version() -> str:
    """The version of the package, which is that of the native module."""
    return __version__
