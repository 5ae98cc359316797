"""A sentence model as an ONNX file: the real runtime on a model of six words."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asking import eventually

from neuralrouting.errors import ConfigError
from neuralrouting.providers.embedding_onnx import AT_ONCE, MODEL_FILES, TOKENS_MOST, OnnxDecider, OnnxModel
from tiny_onnx import tiny_model

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model(tmp_path / "six-words")


@pytest.fixture
async def decider(folder: Path, anyio_backend: str) -> AsyncIterator[OnnxDecider]:
    opened = await OnnxDecider.open(folder, 10_000)
    yield opened
    await opened.close()


def numbers_of(vector: bytes | None) -> list[int]:
    assert vector is not None
    return list(memoryview(vector).cast("b"))


def test_a_text_is_the_mean_of_its_words(folder: Path):
    model = OnnxModel(folder)
    assert numbers_of(model.embed("red")) == [127, 0, 0, 0]
    assert numbers_of(model.embed("Crimson BLUE blue")) == [64, 127, 0, 0]


def test_the_tokens_that_frame_a_text_count_as_words(tmp_path: Path):
    assert numbers_of(OnnxModel(tiny_model(tmp_path, begin=True)).embed("blue blue")) == [0, 127, 0, 64]


def test_a_model_that_pools_by_itself_is_taken_at_its_word(tmp_path: Path):
    assert numbers_of(OnnxModel(tiny_model(tmp_path, pooled=True)).embed("red blue blue")) == [127, 127, 0, 0]


def test_a_text_without_a_word_has_no_vector(folder: Path):
    model = OnnxModel(folder)
    assert model.embed("") is None
    assert model.embed("unheard-of") is None
    assert model.embed("red anti-red") is None


def test_a_text_is_cut_where_the_model_was_not_trained_to_read_on(folder: Path):
    model = OnnxModel(folder)
    assert model.embed("red " * TOKENS_MOST + "blue " * 1_000) == model.embed("red")


def test_the_id_names_the_folder_and_the_very_file(tmp_path: Path):
    one, other = tiny_model(tmp_path / "one" / "mini"), tiny_model(tmp_path / "other" / "mini", pooled=True)
    ids = [OnnxModel(folder).id for folder in (one, other, one)]
    assert ids[0].startswith("onnx:mini:")
    assert len(ids[0]) == len("onnx:mini:") + 12
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize("name", [*MODEL_FILES, "onnx/model.onnx", "onnx/model_quantized.onnx"])
def test_a_model_is_found_under_the_names_that_others_give_it(tmp_path: Path, name: str):
    assert OnnxModel(tiny_model(tmp_path, name=name)).embed("red") is not None


# --- what cannot work is told at the start --------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        OnnxModel(folder)
    return caught.value.message


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    assert refusal(tmp_path / "nowhere") == f"semantic_cache.model_path: {tmp_path / 'nowhere'} is no folder"


def test_a_folder_without_a_model_says_which_names_were_tried(tmp_path: Path):
    said = refusal(tmp_path)
    assert all(name in said for name in MODEL_FILES)


def test_a_folder_without_a_tokenizer_is_told(folder: Path):
    (folder / "tokenizer.json").unlink()
    assert refusal(folder).endswith("tokenizer.json is missing")


def test_a_broken_tokenizer_is_told(folder: Path):
    (folder / "tokenizer.json").write_text("{}")
    assert refusal(folder).startswith(f"{folder / 'tokenizer.json'}: ")


def test_a_file_that_is_no_model_is_told(folder: Path):
    (folder / "model.onnx").write_bytes(b"no model")
    assert refusal(folder).startswith(f"{folder / 'model.onnx'}: onnxruntime cannot load it")


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path):
    words = {"[UNK]": (1.0, 0.0)}
    folder = tiny_model(tmp_path, words=words)
    (folder / "tokenizer.json").write_text((tiny_model(tmp_path / "other") / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace('"[UNK]": 0', '"[UNK]": 9'))
    assert refusal(folder).startswith(f"{folder / 'model.onnx'}: this is no sentence model that can be used here")


def test_without_the_extra_it_says_what_to_install(folder: Path):
    program = (
        "import sys\n"
        "sys.modules['onnxruntime'] = None\n"
        "from pathlib import Path\n"
        "from neuralrouting.errors import ConfigError\n"
        "from neuralrouting.providers.embedding_onnx import OnnxModel\n"
        "try:\n"
        "    OnnxModel(Path(sys.argv[1]))\n"
        "except ConfigError as error:\n"
        "    print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        "semantic_cache.embedder is `onnx`, but onnxruntime is not installed: pip install 'neuralrouting[onnx]'"
    )


def test_nothing_of_the_extra_is_imported_where_it_is_not_configured():
    program = (
        "import sys, neuralrouting.app\n"
        "print(sorted({'onnxruntime', 'tokenizers', 'huggingface_hub'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- off the event loop ---------------------------------------------------------------------------------------------


async def test_texts_are_embedded_in_one_thread_of_its_own(decider: OnnxDecider):
    found = await asyncio.gather(*(decider.embed(text) for text in ("red", "blue", "crimson", "red")))
    assert [numbers_of(vector)[:2] for vector in found] == [[127, 0], [0, 127], [127, 0], [127, 0]]
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("embedder")]
    assert len(threads) == 1


async def test_what_waits_in_vain_is_a_miss_and_not_a_delay(decider: OnnxDecider):
    texts = [f"red {'blue ' * place}" for place in range(AT_ONCE + 5)]
    found = await asyncio.gather(*(decider.embed(text) for text in texts))
    assert [vector is None for vector in found] == [False] * AT_ONCE + [True] * 5
    assert await decider.embed(texts[-1]) is not None


async def test_a_run_that_takes_longer_than_the_budget_is_a_miss_and_there_for_storing(folder: Path):
    decider = await OnnxDecider.open(folder, 0)
    found = await decider.embed("red")
    assert found is None
    for _ in range(500):
        found = found or await decider.embed("red")
        await asyncio.sleep(0 if found else 0.01)
    assert numbers_of(found) == [127, 0, 0, 0]
    await decider.close()


async def test_closing_ends_its_thread(folder: Path):
    decider = await OnnxDecider.open(folder, 10_000)
    assert await decider.embed("red") is not None
    await decider.close()
    await eventually(lambda: not any(thread.name.startswith("embedder") for thread in threading.enumerate()))


async def test_a_text_after_closing_is_a_miss(folder: Path):
    decider = await OnnxDecider.open(folder)
    await decider.close()
    assert await decider.embed("red") is None
