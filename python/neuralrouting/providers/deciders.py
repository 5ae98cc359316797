"""Which second embedder is configured, opened and closed."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from neuralrouting.config import SemanticCacheConfig
from neuralrouting.errors import ConfigError
from neuralrouting.exchange import Decider
from neuralrouting.providers.embedding_onnx import OnnxDecider
from neuralrouting.providers.embedding_openai import OpenAIDecider
from neuralrouting.providers.http import HttpClient


@asynccontextmanager
async def open_decider(settings: SemanticCacheConfig, http: HttpClient) -> AsyncGenerator[Decider | None, None]:
    """Give the configured embedder, None where the built-in one decides alone. Raises ConfigError.

    `http` is closed by who opened it, after this.
    """
    decider = await _opened(settings, http)
    try:
        yield decider
    finally:
        if decider is not None:
            await decider.close()


async def _opened(settings: SemanticCacheConfig, http: HttpClient) -> OnnxDecider | OpenAIDecider | None:
    if not settings.enabled or settings.embedder == "builtin":
        return None
    if settings.embedder == "onnx":
        folder = Path(_needed(settings, settings.model_path, "model_path"))
        return await OnnxDecider.open(folder, settings.timeout_ms)
    key = settings.api_key.reveal() if settings.api_key is not None else None
    url, model = _needed(settings, settings.url, "url"), _needed(settings, settings.model, "model")
    try:
        return OpenAIDecider(http, url, model, key, settings.timeout_ms)
    except ConfigError as error:
        raise ConfigError(f"semantic_cache.url: {error.message}", param="semantic_cache.url") from error


def _needed(settings: SemanticCacheConfig, value: str | None, name: str) -> str:
    if value is None:
        raise ConfigError(f"semantic_cache.{name}: the embedder `{settings.embedder}` needs it")
    return value
