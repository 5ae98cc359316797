"""Labelled rows from a JSONL file: one JSON object a line, and a mistake is told with its line."""

from pathlib import Path
from typing import TypeVar

import msgspec

from neuralrouting.errors import ConfigError

_Row = TypeVar("_Row")


def read_rows(file: Path, kind: type[_Row]) -> list[_Row]:
    """Read every line into a row; empty lines are passed over. Raises ConfigError that names file and line."""
    decoder = msgspec.json.Decoder(kind)
    rows: list[_Row] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    rows.append(decoder.decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise ConfigError(f"{file}:{number}: {error}") from error
    if not rows:
        raise ConfigError(f"{file}: no rows in it")
    return rows
