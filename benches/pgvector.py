"""How long a lookup in the shared cache takes inside PostgreSQL, and what it finds: `python -m benches.pgvector`.

The server is the one that the tests start. Vectors lie round a few hundred centres, rounded to signed bytes as
embeddings are; questions are stored vectors with noise. Recall is what a lookup finds of the four nearest.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import click
import numpy as np

from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.shared_tier import (
    EXACT,
    NEAREST_OF_CROWD,
    NEAREST_OF_SCOPE,
    SEARCH_INDEX,
    Reach,
    SharedTier,
)
from neuralrouting.storage.vectors import Vectors, set_up_vectors, vector_text

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cache_rows import EMBEDDER, probe, stored
from postgres_server import missing, running_server

BAR_MS = 2.0
FLOOR = 0.6
CENTRES = 300
BODY = b'{"choices":[{"message":{"content":"' + b"word " * 200 + b'"}}]}'
NOW_MS = 1_000
Held = dict[str, np.ndarray]
"""The vectors of each account, in one scope; an entry's key is its place."""
Question = tuple[str, bytes, np.ndarray]
"""Account, key and vector: a stored one with noise."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--tenants", default=500, show_default=True)
@click.option("--rows", default=50_000, show_default=True, help="Rows of all tenants together.")
@click.option("--crowds", default="20000,50000", show_default=True, help="Rows of single scopes beside them.")
@click.option("--lookups", default=1_000, show_default=True)
def main(tenants: int, rows: int, crowds: str, lookups: int) -> None:
    """Measure lookups by key, of small scopes and of crowded ones. Exit code 1 when the bar is missed."""
    reason = missing()
    if reason is not None:
        raise click.ClickException(reason)
    source = np.random.default_rng(7)
    centres = source.normal(size=(CENTRES, 256))
    small = {f"tenant-{number}": _vectors(source, centres, rows // tenants) for number in range(tenants)}
    large = {f"crowd-{size}": _vectors(source, centres, int(size)) for size in crowds.split(",") if size}
    with running_server() as server:
        p50_ms = asyncio.run(_measure(server.url(), small, large, lookups))
    click.echo(f"bar: p50 < {BAR_MS:g} ms for many tenants")
    sys.exit(p50_ms >= BAR_MS)


async def _measure(url: str, small: Held, large: Held, lookups: int) -> float:
    """Return the median of lookups of small scopes, in ms."""
    database = await open_database(url, Path())
    assert await set_up_vectors(database)
    connection = await asyncpg.connect(url, server_settings={"jit": "off", "max_parallel_workers_per_gather": "0"})
    await _load(database, small)
    await _prepare(connection)
    click.echo(f"{'inside PostgreSQL':44}{'p50 ms':>9}{'p99 ms':>9}{'recall':>9}")
    asked = _questions(small, lookups)
    by_key = [await _timed(connection, f"exact('{name}', '\\x{key.hex()}', {NOW_MS})") for name, key, _ in asked]
    _tell("exact key", by_key)
    rows = sum(map(len, small.values()))
    found = [await _nearest(connection, "near_of_scope", question, small) for question in asked]
    p50_ms = _tell(f"{rows:,} rows, {len(small)} tenants, one by one", *zip(*found, strict=True))
    await _through_find(database, asked)
    if large:
        await _load(database, large)
        await _measure_crowds(database, connection, large, min(lookups, 300))
    await connection.close()
    await database.close()
    return p50_ms


async def _measure_crowds(database: Database, connection: "asyncpg.Connection", large: Held, lookups: int) -> None:
    asked = {name: _questions({name: vectors}, lookups) for name, vectors in large.items()}
    for name, questions in asked.items():
        found = [await _nearest(connection, "near_of_scope", question, large) for question in questions[:50]]
        _tell(f"scope {name}, one by one", *zip(*found, strict=True))
    began_s, moved, keeping = time.perf_counter(), 0, Vectors(database)
    await keeping.find_crowds()
    while count := await keeping.sort_crowds():
        moved += count
    click.echo(f"  {moved:,} rows into the HNSW index in {time.perf_counter() - began_s:.1f} s")
    await connection.execute("ANALYZE")
    for name, questions in asked.items():
        async with connection.transaction():
            await connection.execute(SEARCH_INDEX)
            found = [await _nearest(connection, "near_of_crowd", question, large) for question in questions]
        _tell(f"scope {name}, by HNSW", *zip(*found, strict=True))
        await _through_find(database, questions)


def _vectors(source: np.random.Generator, centres: np.ndarray, count: int) -> np.ndarray:
    floats = centres[source.integers(0, len(centres), count)] + source.normal(scale=1.0, size=(count, 256))
    return np.round(floats / np.abs(floats).max(axis=1, keepdims=True) * 127).astype(np.int8)


def _questions(held: Held, count: int) -> list[Question]:
    source = np.random.default_rng(11)
    asked: list[Question] = []
    for name in random.Random(11).choices(list(held), k=count):
        place = int(source.integers(0, len(held[name])))
        floats = held[name][place] + source.normal(scale=12.0, size=256)
        asked.append((name, _key(place), np.round(floats / np.abs(floats).max() * 127).astype(np.int8)))
    return asked


def _key(place: int) -> bytes:
    return place.to_bytes(32, "big")


def _entries(name: str, vectors: np.ndarray) -> list[CacheEntry]:
    scope = _scope(name)
    return [
        stored(_key(place), name, body=BODY, scope=scope, vector=vector.tobytes())
        for place, vector in enumerate(vectors)
    ]


def _scope(name: str) -> bytes:
    return name.encode().ljust(32, b".")


async def _load(database: Database, held: Held) -> None:
    """Store entries as requests do, those of all tenants in turn, then make their vectors."""
    entries = [entry for name, vectors in held.items() for entry in _entries(name, vectors)]
    random.Random(7).shuffle(entries)
    began_s = time.perf_counter()
    for first in range(0, len(entries), 1_000):
        await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries[first : first + 1_000]])])
    written_s = time.perf_counter()
    made, keeping = 0, Vectors(database)
    while count := await keeping.index_new():
        made += count
    indexed_s = time.perf_counter()
    click.echo(f"  {len(entries):,} rows stored in {written_s - began_s:.1f} s")
    click.echo(f"  {made:,} vectors made in {indexed_s - written_s:.1f} s")
    await database.execute("ANALYZE")


async def _prepare(connection: "asyncpg.Connection") -> None:
    near = "TEXT, BYTEA, BIGINT, TEXT, TEXT, FLOAT8"
    await connection.execute(f"PREPARE exact (TEXT, BYTEA, BIGINT) AS {EXACT}")
    await connection.execute(f"PREPARE near_of_scope ({near}) AS {NEAREST_OF_SCOPE}")
    await connection.execute(f"PREPARE near_of_crowd ({near}) AS {NEAREST_OF_CROWD}")


async def _timed(connection: "asyncpg.Connection", call: str) -> float:
    """What the server needs to run a prepared statement, planning included where it plans."""
    [[told]] = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE {call}")
    plan = json.loads(told)[0]
    return plan["Execution Time"] + plan["Planning Time"]


async def _nearest(
    connection: "asyncpg.Connection", statement: str, question: Question, held: Held
) -> tuple[float, float]:
    """Return how long a lookup took in ms, and its recall."""
    name, _, vector = question
    call = (
        f"{statement}('{name}', '\\x{_scope(name).hex()}', {NOW_MS}, '{EMBEDDER}', "
        f"'{vector_text(vector.tobytes())}', {1 - FLOOR})"
    )
    took_ms = await _timed(connection, call)
    found = {int.from_bytes(row["key"], "big") for row in await connection.fetch(f"EXECUTE {call}")}
    wide = held[name].astype(np.float64)
    cosines = wide @ vector / np.linalg.norm(wide, axis=1) / np.linalg.norm(vector.astype(np.float64))
    nearest = [int(place) for place in np.argsort(-cosines)[:4] if cosines[place] >= FLOOR]
    return took_ms, len(found.intersection(nearest)) / len(nearest) if nearest else 1.0


async def _through_find(database: Database, asked: Sequence[Question]) -> None:
    """The same as a request sees it: two statements over a socket, answers included."""
    tier = await SharedTier.open(database, lambda _entry: False, Reach(floor=FLOOR, budget_s=1.0))
    await asyncio.sleep(0.5)
    took_ms: list[float] = []
    for name, _, vector in asked:
        began_s = time.perf_counter()
        await tier.find(name, b"new".ljust(32), _scope(name), probe(vector.tobytes()), EMBEDDER, NOW_MS)
        took_ms.append(1_000 * (time.perf_counter() - began_s))
    _tell("  the same through find()", took_ms)
    await tier.close()


def _tell(what: str, took_ms: Sequence[float], recall: Sequence[float] | None = None) -> float:
    ordered = sorted(took_ms)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    click.echo(f"{what:44}{p50:9.3f}{p99:9.3f}" + (f"{statistics.fmean(recall):9.3f}" if recall else ""))
    return p50


if __name__ == "__main__":
    main()
