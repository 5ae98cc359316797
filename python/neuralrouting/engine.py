"""The only door to the native module: bytes in, one frozen Inspection out."""

from neuralrouting._core import (  # noqa: TID251  the one door
    ROUTE_BLOCKS,
    ROUTE_DIMENSIONS,
    ROUTE_VERSION,
    CachedReply,
    Classification,
    Comparison,
    Engine,
    Hit,
    Inspection,
    Limits,
    Metrics,
    Permit,
    Predictor,
    Refusal,
    RejectedBody,
    RejectedRules,
    Series,
    Shield,
    Verdict,
    __version__,
    classify,
    compare_questions,
    estimate_tokens,
    plain_chunk,
    route_features,
)
from neuralrouting.errors import BodyTooLarge, ConfigError, InvalidField, MalformedBody, RequestError

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
    "classify",
    "compare_questions",
    "compile_rules",
    "estimate_tokens",
    "panicked",
    "plain_chunk",
    "rejection",
    "route_features",
    "version",
]


def rejection(error: RejectedBody) -> RequestError:
    """Turn the native refusal into the error of our tree that has the same status."""
    status, code, message, param = error.args
    kind = {413: BodyTooLarge, 422: InvalidField}.get(status, MalformedBody)
    return kind(message, code=code, param=param)


def compile_rules(*overlays: tuple[str, str], model: bool) -> Shield:
    """Compile the built-in rules with operators' TOML, each given as (where it stands, text), later ones on top.

    Takes milliseconds: call it off the event loop. Raises ConfigError that names place, line and rule.
    """
    given = [(place, text) for place, text in overlays if text.strip()]
    try:
        return Shield(*(text for _, text in given), model=model)
    except RejectedRules as error:
        message, line, rule = error.args
        where = _culprit(given) + (f":{line}" if line is not None else "")
        raise ConfigError(f"{where}: {message}{f' (rule {rule})' if rule else ''}") from error


def _culprit(given: list[tuple[str, str]]) -> str:
    """Say where the first text stands that is refused on top of those before it."""
    for count in range(1, len(given)):
        try:
            Shield(*(text for _, text in given[:count]), model=False)
        except RejectedRules:
            return given[count - 1][0]
    return given[-1][0] if given else "built-in rules"


def panicked(error: BaseException) -> bool:
    """Whether the native core panicked; its exception has no class that could be imported."""
    return type(error).__name__ == "PanicException"


def version() -> str:
    """The version of the package, which is that of the native module."""
    return __version__
