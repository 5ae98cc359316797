"""A cache that asks nobody else: neither replicas nor a second embedder."""

from collections.abc import Callable

from neuralrouting.config import Config
from neuralrouting.engine import Engine
from neuralrouting.exchange import CacheEntry
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.pipeline import Caching
from neuralrouting.pipeline.second_look import SecondLook


def alone(engine: Engine, config: Config, keep: Callable[[CacheEntry], object] = lambda _entry: None) -> Caching:
    """The cache of one worker round `engine`, which may be a stand-in that misbehaves."""
    return Caching(engine, AnswerCache(engine, config.cache, keep), SecondLook(engine, None, None))
