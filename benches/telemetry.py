"""What telling of a request costs: `python -m benches.telemetry`.

On the request path it is one append; behind it, counting, a line of the log, and spans where they are wanted. Each is
measured over the same finished request, in process, without a collector.
"""

import asyncio
import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click

from neuralrouting.exchange import Exchange
from neuralrouting.telemetry.counting import Counting
from neuralrouting.telemetry.events import Events
from neuralrouting.telemetry.logs import JsonLines
from neuralrouting.telemetry.registry import Registry
from neuralrouting.telemetry.request_log import RequestLog

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from finished_exchange import finished

PATH_BAR_US = 1.0
"""Microseconds that noting one event may take on the request path."""
COUNT_BAR_US = 15.0
"""Microseconds that counting one request may take, behind it."""
PEER_RATIO = 10.0
"""How much cheaper counting must be than a span that is recorded: else there would be no need of it."""
REQUESTS, ROUNDS = 1_000, 15
NANO = 1_000


class _Row(NamedTuple):
    name: str
    us: float
    bar_us: float | None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def main(*, as_json: bool) -> None:
    """Measure microseconds for each way to tell of a request. Exit code 1 where a bar is missed."""
    rows = asyncio.run(measured())
    if as_json:
        click.echo(json.dumps({row.name: round(row.us, 3) for row in rows}))
    else:
        click.echo(f"{'microseconds for one request':40}{'median':>10}{'bar':>8}")
        for row in rows:
            click.echo(f"{row.name:40}{row.us:10.2f}{'' if row.bar_us is None else f'{row.bar_us:8.1f}'}")
    by_name = {row.name: row.us for row in rows}
    missed = any(row.bar_us is not None and row.us > row.bar_us for row in rows)
    span_us = by_name.get("span, recorded")
    if span_us is not None:
        ratio = span_us / by_name["counting"]
        click.echo(f"a recorded span costs {ratio:.1f} times what counting does (at least {PEER_RATIO})")
        missed |= ratio < PEER_RATIO
    sys.exit(missed)


async def measured() -> list[_Row]:
    """Return what each costs."""
    done = finished()
    with tempfile.TemporaryDirectory(prefix="neuralrouting-bench-") as folder:
        counting = Counting(Registry(Path(folder)))
        events = Events([], capacity=10**9)
        rows = [
            _Row("noting (on the request path)", _us(lambda: events.note(done), after=events.flush), PATH_BAR_US),
            _Row("counting", _us(lambda: counting.read(done)), COUNT_BAR_US),
        ]
    logger = logging.getLogger("neuralrouting.requests")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    request_log = RequestLog()
    rows.append(_Row("a JSON line of the log", _us(lambda: request_log.read(done)), None))
    return rows + _spans(done)


def _spans(done: Exchange) -> list[_Row]:
    try:
        from neuralrouting.telemetry.otel import Otel  # noqa: PLC0415  an extra
    except ImportError:
        return []
    nowhere = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    rows: list[_Row] = []
    for name, share in (("span, not sampled (GenAI metrics only)", 0.0), ("span, recorded", 1.0)):
        otel = Otel(share, nowhere)
        rows.append(_Row(name, _us(lambda otel=otel: otel.read(done)), None))
        otel.close()
    return rows


def _us(call: Callable[[], None], after: Callable[[], None] | None = None) -> float:
    """Return the median of the rounds, in time of this thread's processor: others may use the machine too."""
    times: list[float] = []
    for _ in range(ROUNDS):
        began_ns = time.thread_time_ns()
        for _ in range(REQUESTS):
            call()
        times.append((time.thread_time_ns() - began_ns) / REQUESTS / NANO)
        if after is not None:
            after()
    return median(times)


if __name__ == "__main__":
    main()
