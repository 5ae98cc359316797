"""A second embedder in this process: a sentence model as an ONNX file, such as all-MiniLM-L6-v2."""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from neuralrouting.errors import ConfigError
from neuralrouting.providers.embedding import DIMENSIONS_MOST, Complaints, Runs, signed

# Everything of the extra is imported where it is used: who has another embedder need not install it.
# ruff: noqa: PLC0415

if TYPE_CHECKING:
    from tokenizers import Tokenizer

INSTALL = "pip install 'neuralrouting[onnx]'"
MODEL_FILES = ("model.onnx", "model_quantized.onnx", "model_int8.onnx")
"""Names tried in the folder, then in `onnx` inside it, as sentence-transformers and Optimum write them."""
TOKENS_MOST = 256
"""Where texts are cut: what all-MiniLM-L6-v2 was trained for."""
AT_ONCE = 8
"""Texts that run or wait. On one core all-MiniLM-L6-v2 takes 5 ms for a short question, ten times that for a page."""


class OnnxModel:
    """A loaded model: `embed` takes a text and milliseconds. Raises ConfigError for a folder that does not hold one.

    Its output `sentence_embedding` is taken as it is, where there is one; else its first output of one vector a token
    is averaged over the tokens.
    """

    def __init__(self, folder: Path) -> None:
        file = _model_file(folder)
        self.id = f"onnx:{folder.resolve().name}:{_sha256(file)[:12]}"
        self._tokenizer = _tokenizer(folder)
        self._session = _session(file)
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._output, self._by_token = _output(self._session, file)
        self._check(file)

    def embed(self, text: str) -> bytes | None:
        """Return the text's vector as signed bytes; None for one without direction."""
        vector = self._vector(text)
        return signed(vector.tolist())

    def _vector(self, text: str) -> Any:  # noqa: ANN401  a row of numpy, which may not be installed
        import numpy as np

        read = self._tokenizer.encode(text)
        # Without padding every token counts.
        given = {
            "input_ids": read.ids,
            "attention_mask": read.attention_mask,
            "token_type_ids": read.type_ids,
        }
        feed = {name: np.array([row], dtype=np.int64) for name, row in given.items() if name in self._inputs}
        (found,) = self._session.run([self._output], feed)
        if not self._by_token:
            return found[0]
        mask = np.array(read.attention_mask, dtype=found.dtype)[:, None]
        return (found[0] * mask).sum(axis=0) / max(1, mask.sum())

    def _check(self, file: Path) -> None:
        """Embed a word, so that what cannot work is told at the start."""
        try:
            vector = self._vector("hello")
            size = len(vector)
        except Exception as error:  # whatever the runtime says of a graph that it cannot run
            raise ConfigError(f"{file}: this is no sentence model that can be used here ({error})") from error
        if not 0 < size <= DIMENSIONS_MOST:
            raise ConfigError(f"{file}: its vectors have {size} numbers, at most {DIMENSIONS_MOST:,} are taken")


class OnnxDecider:
    """Embeds in one thread of its own, off the event loop; who asks waits `timeout_ms` at most."""

    def __init__(self, model: OnnxModel, timeout_ms: float) -> None:
        self.id = model.id
        self._budget_s = timeout_ms / 1000
        self._embed: Callable[[str], bytes | None] = model.embed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._runs = Runs(self._run, AT_ONCE)
        self._complaints = Complaints(model.id)

    @classmethod
    async def open(cls, folder: Path, timeout_ms: float = 100.0) -> Self:
        """Load the model, which takes some hundred milliseconds. Raises ConfigError."""
        return cls(await asyncio.to_thread(OnnxModel, folder), timeout_ms)

    async def embed(self, text: str) -> bytes | None:
        """Return a text's vector; None when it takes longer than the budget, or too many others wait."""
        return await self._runs.vector(text, self._budget_s)

    async def close(self) -> None:
        """Let go of what waits."""
        await self._runs.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, text: str) -> bytes | None:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, text)
        except Exception as error:  # noqa: BLE001  native code of others; a miss is all that may come of it
            self._complaints.say(f"failed with {type(error).__name__}")
            return None


def _model_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"semantic_cache.model_path: {folder} is no folder", param="semantic_cache.model_path")
    places = [place / name for place in (folder, folder / "onnx") for name in MODEL_FILES]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigError(
            f"semantic_cache.model_path: {folder} holds none of {', '.join(MODEL_FILES)}, nor does `onnx` in it",
            param="semantic_cache.model_path",
        )
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _tokenizer(folder: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing(error) from error
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ConfigError(f"semantic_cache.model_path: {file} is missing", param="semantic_cache.model_path")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # its binding raises nothing narrower
        raise ConfigError(f"{file}: {error}") from error
    tokenizer.enable_truncation(TOKENS_MOST)
    tokenizer.no_padding()
    return tokenizer


def _session(file: Path) -> Any:  # noqa: ANN401  onnxruntime comes without types
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error) from error
    options = onnxruntime.SessionOptions()
    # One text at a time, and the workers of a gateway share the processors: threads that spin would slow all.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a class of its own for each way to fail
        raise ConfigError(f"{file}: onnxruntime cannot load it ({error})") from error


def _output(session: Any, file: Path) -> tuple[str, bool]:  # noqa: ANN401  onnxruntime comes without types
    """Choose the output to read, and say whether it has a vector for each token."""
    ranks = {output.name: len(output.shape or ()) for output in session.get_outputs()}
    if ranks.get("sentence_embedding") == 2:
        return "sentence_embedding", False
    for rank in (3, 2):
        name = next((name for name, found in ranks.items() if found == rank), None)
        if name is not None:
            return name, rank == 3
    raise ConfigError(f"{file}: none of its outputs is an embedding: {', '.join(ranks)}")


def _missing(error: ImportError) -> ConfigError:
    return ConfigError(
        f"semantic_cache.embedder is `onnx`, but {error.name or 'its extra'} is not installed: {INSTALL}",
        param="semantic_cache.embedder",
    )
