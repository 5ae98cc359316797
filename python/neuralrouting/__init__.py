"""NeuralRouting: every prompt to the cheapest model that answers it well, with the saving proved."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuralrouting.engine import Engine, Shield, classify, estimate_tokens

__all__ = ["Engine", "Shield", "classify", "estimate_tokens"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module attribute may be anything
    """Load the native core when it is first asked for, so that `neuralrouting --help` starts fast."""
    if name in __all__:
        from neuralrouting import engine  # noqa: PLC0415  lazy on purpose

        return getattr(engine, name)
    raise AttributeError(f"module 'neuralrouting' has no attribute {name!r}")
