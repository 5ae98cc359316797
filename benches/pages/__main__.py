"""The command line: start a gateway over a full store, ask, tell."""

import asyncio
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import httpx

from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.database import open_database
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.trail import GATEWAY

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from benches.screenshots import EMAIL, PASSWORD

from live_gateway import running_gateway

from .asking import Askers, Streamed, Timing, ask, find_known, stream
from .questions import Question, questions
from .screens import screens

LIMIT_MS = 100.0
ROWS_A_SECOND = 50_000
GROWN_BYTES = 64 * 1024 * 1024
"""What the gateway's memory may grow by while it streams: blocks on their way, not the table."""
ACCOUNT = "default"
EXPORTS = ("/v1/audit?format=csv",)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True, help="Of the gateway.")
@click.option("--url", help="The store's PostgreSQL address; without it SQLite in the data directory.")
@click.option("--times", default=20, show_default=True, help="How often each question is asked.")
@click.option("--limit-ms", default=LIMIT_MS, show_default=True, help="What the 95th percentile may be.")
@click.option("--only", default="", help="Ask only what has this in its address.")
@click.option("--all", "every", is_flag=True, help="Tell every question, not the slowest of each route.")
@click.option("--csv/--no-csv", "exports", default=True, help="Stream all requests as CSV, too.")
def main(data_dir: Path, url: str | None, times: int, limit_ms: float, only: str, every: bool, exports: bool) -> None:  # noqa: FBT001, PLR0917
    """Ask a gateway over a store that `benches.million` made. Exit code 1 when a figure is missed."""
    config = 'local: {enabled: "off"}'
    owner, operator = asyncio.run(_keys(url, data_dir))
    missed = False
    people = {"NEURALROUTING_ADMIN_EMAIL": EMAIL, "NEURALROUTING_ADMIN_PASSWORD": PASSWORD}
    with running_gateway(data_dir, config=config, database_url=url, **people) as gateway:
        with _askers(gateway.url, owner, operator) as askers:
            known = find_known(askers["owner"])
            asked = questions(known) | screens(known)
            _nothing_forgotten(askers["owner"], asked)
            wanted = [one for of in asked.values() for one in of if only in one.path]
            missed |= _tell([ask(askers, one, times, gateway.pid) for one in wanted], limit_ms, every=every)
        for path in EXPORTS if exports else ():
            missed |= _tell_stream(path, stream(gateway.url, path, owner, gateway.pid))
    sys.exit(missed)


@contextmanager
def _askers(url: str, owner: str, operator: str) -> Generator[Askers]:
    """Let everybody in; the person signs in as people do, in a form."""
    with ExitStack() as stack:

        def client(**headers: str) -> httpx.Client:
            return stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False))

        person = client(**{"sec-fetch-site": "same-origin"})
        if person.post("/login", data={"email": EMAIL, "password": PASSWORD}).status_code != 303:
            raise click.ClickException("the store has an owner of another password: nobody can sign in")
        yield {
            "owner": client(Authorization=f"Bearer {owner}"),
            "operator": client(Authorization=f"Bearer {operator}"),
            "person": person,
        }


def _nothing_forgotten(client: httpx.Client, asked: dict[str, list[Question]]) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    forgotten = sorted({path for path, methods in paths.items() if "get" in methods} - set(asked))
    if forgotten:
        raise click.ClickException(
            f"nothing is asked of {', '.join(forgotten)}: add them to benches/pages/questions.py"
        )


def _tell(told: list[Timing], limit_ms: float, *, every: bool) -> bool:
    click.echo(f"{'p50 ms':>8}{'p95 ms':>8}{'CPU ms':>8}{'kB':>8}  question")
    slowest: dict[str, Timing] = {}
    for timing in told:
        kept = slowest.get(timing.question.route)
        if kept is None or timing.p95_ms > kept.p95_ms:
            slowest[timing.question.route] = timing
    for timing in told:
        over = timing.p95_ms > limit_ms
        if every or over or timing is slowest[timing.question.route]:
            size, mark = timing.answer_bytes / 1000, " <-- over the limit" if over else ""
            times = f"{timing.p50_ms:8.1f}{timing.p95_ms:8.1f}{timing.cpu_ms:8.1f}"
            click.echo(f"{times}{size:8.1f}  {timing.question.path}{mark}")
    worst = max((timing.p95_ms for timing in told), default=0.0)
    click.echo(f"{len(told)} questions; the slowest answers in {worst:.0f} ms at p95, allowed are {limit_ms:.0f}")
    return worst > limit_ms


def _tell_stream(path: str, seen: Streamed) -> bool:
    rate = seen.rows / seen.seconds
    click.echo(
        f"{path}: {seen.rows:,} rows in {seen.seconds:.1f} s, {rate:,.0f} rows/s (bar {ROWS_A_SECOND:,}); first byte "
        f"{seen.first_byte_s * 1000:.0f} ms; memory +{seen.grown_bytes / 1e6:.1f} MB (bar {GROWN_BYTES / 1e6:.0f}); "
        f"/healthz beside it {seen.typical_ms:.1f} ms typically, {seen.stalled_ms:.0f} ms at worst"
    )
    return rate < ROWS_A_SECOND or seen.grown_bytes > GROWN_BYTES


async def _keys(url: str | None, data_dir: Path) -> tuple[str, str]:
    """Make a key of the account's owner and one of an operator."""
    database = await open_database(url, data_dir)
    try:
        rows, now_ms, made = KeyRows(database), time.time_ns() // 1_000_000, list[str]()
        for role in ("owner", "operator"):
            told = KeyOptions(role=role)
            key = await create_key(rows, ACCOUNT, role, live=True, now_ms=now_ms, actor=GATEWAY, options=told)
            made.append(key.key)
        return made[0], made[1]
    finally:
        await database.close()


if __name__ == "__main__":
    main()
