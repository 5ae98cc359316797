"""A sentence model of six words as ONNX, with its tokenizer, as a folder that the embedder can be pointed at.

The file is written here, field by field, since the package `onnx` would be three more packages and 9 MB for every CI
run, for one node of a graph. Field numbers are those of onnx.proto.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

WORDS: Mapping[str, tuple[float, ...]] = {
    "[UNK]": (0.0, 0.0, 0.0, 0.0),
    "[CLS]": (0.0, 0.0, 0.0, 1.0),
    "red": (1.0, 0.0, 0.0, 0.0),
    "crimson": (1.0, 0.0, 0.0, 0.0),
    "blue": (0.0, 1.0, 0.0, 0.0),
    "anti-red": (-1.0, 0.0, 0.0, 0.0),
}
"""The model's words with their vectors: two of them mean the same."""
FLOAT, INT64 = 1, 7


def tiny_model(
    folder: Path,
    *,
    name: str = "model.onnx",
    words: Mapping[str, Sequence[float]] = WORDS,
    pooled: bool = False,
    begin: bool = False,
) -> Path:
    """Write the model and return the folder.

    `pooled`: it offers `sentence_embedding`, the largest number over the words. `begin`: its tokenizer puts [CLS] in
    front, as that of BERT does.
    """
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(_model(list(words.values()), pooled=pooled))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(list(words), begin=begin)))
    return folder


def _tokenizer(words: list[str], *, begin: bool) -> dict[str, object]:
    first = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}},
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": first if begin else None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(words)}, "unk_token": "[UNK]"},
    }


def _model(vectors: Sequence[Sequence[float]], *, pooled: bool) -> bytes:
    """One Gather: the vectors of the words by their numbers."""
    width = len(vectors[0])
    numbers = struct.pack(f"<{len(vectors) * width}f", *(number for row in vectors for number in row))
    table = _number(1, len(vectors)) + _number(1, width) + _number(2, FLOAT) + _bytes(8, b"table") + _bytes(9, numbers)
    nodes = [_node("Gather", [b"table", b"input_ids"], b"last_hidden_state")]
    outputs = [_value(b"last_hidden_state", FLOAT, 3)]
    if pooled:
        over_words = _bytes(5, _bytes(1, b"axes") + _number(8, 1) + _number(20, 7))
        flat = _bytes(5, _bytes(1, b"keepdims") + _number(3, 0) + _number(20, 2))
        nodes.append(_node("ReduceMax", [b"last_hidden_state"], b"sentence_embedding", over_words + flat))
        outputs.append(_value(b"sentence_embedding", FLOAT, 2))
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"tiny") + _bytes(5, table)
    graph += _bytes(11, _value(b"input_ids", INT64, 2)) + b"".join(_bytes(12, output) for output in outputs)
    return _number(1, 8) + _bytes(8, _bytes(1, b"") + _number(2, 13)) + _bytes(7, graph)


def _node(kind: str, inputs: list[bytes], output: bytes, attributes: bytes = b"") -> bytes:
    named = b"".join(_bytes(1, name) for name in inputs)
    return named + _bytes(2, output) + _bytes(4, kind.encode()) + attributes


def _value(name: bytes, kind: int, rank: int) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, b"d%d" % axis)) for axis in range(rank))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
