"""The command line of the load test."""

import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from . import targets
from .budgets import BUDGETS, judge
from .crowd import Crowd, measure_crowd
from .load import LoadError
from .measure import Result, Settings, measure
from .report import Report, show, write_json
from .scenarios import SCENARIOS

FULL = Settings(repeats=3, seconds=2.0, warm_up_s=0.5, patience_s=35.0)
QUICK = Settings(repeats=3, seconds=0.5, warm_up_s=0.2, patience_s=0.0)
CROWD = "crowd"
NAMES = (*(scenario.name for scenario in SCENARIOS), CROWD)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Short runs, none repeated for noise: under a minute instead of four.")
@click.option(
    "--only", multiple=True, type=click.Choice(NAMES), metavar="NAME", help="Measure this scenario; may be given again."
)
@click.option("--first-byte-ms", default=0.0, help="How long the mock provider thinks before its first byte.")
@click.option("--gap-ms", default=0.0, help="How long the mock provider waits between two events of a stream.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
def main(quick: bool, only: tuple[str, ...], first_byte_ms: float, gap_ms: float, json_path: Path | None) -> None:  # noqa: FBT001
    """Measure a running gateway against a bare ASGI app and, where it is at hand, TensorZero's gateway.

    Everything runs on this machine: a mock provider, the servers, and the clients. Exit code 1 when a budget is
    broken. The figure to trust is CPU per request, and of that the ratio to a neighbour of the same run.

    \b
    pass-through    64 connections, every prompt new, cache on
    no-store        the same with `Cache-Control: no-store`
    exact hit       64 connections, one prompt, answered from the cache
    stream          16 connections, 20 events and usage
    one connection  what the gateway adds to a request's latency
    crowd           100 clients, 2,000 requests, simulated models: errors, lost rows, memory

    \b
    To compare with TensorZero:
      python3 -m venv /tmp/tensorzero && /tmp/tensorzero/bin/pip install tensorzero openai
      TENSORZERO_PYTHON=/tmp/tensorzero/bin/python make bench
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every server is stopped
    try:
        report = _measured(QUICK if quick else FULL, only or NAMES, first_byte_ms, gap_ms)
    except (LoadError, targets.TargetError) as error:
        raise click.ClickException(str(error)) from error
    show(report)
    if json_path is not None:
        write_json(report, json_path)
    sys.exit(any(verdict.holds is False for verdict in report.verdicts))


def _measured(settings: Settings, names: tuple[str, ...], first_byte_ms: float, gap_ms: float) -> Report:
    python, missing = targets.tensorzero_python()
    notes = [f"TensorZero was not compared: {missing}"] if python is None else []
    crowd: Crowd | None = None
    with tempfile.TemporaryDirectory(prefix="neuralrouting-bench-") as name:
        folder = Path(name)
        results = _scenarios(settings, names, folder, python, (first_byte_ms, gap_ms))
        if CROWD in names:
            _say(CROWD)
            crowd = measure_crowd(folder / CROWD)
    slow = first_byte_ms > 0 or gap_ms > 0
    if slow:
        notes.append("no ratio was judged: the budgets are for a provider that answers at once")
    return Report(tuple(results), crowd, tuple(judge(() if slow else BUDGETS, results, crowd)), tuple(notes))


def _scenarios(
    settings: Settings, names: tuple[str, ...], folder: Path, python: str | None, delays_ms: tuple[float, float]
) -> list[Result]:
    chosen = [scenario for scenario in SCENARIOS if scenario.name in names]
    if not chosen:
        return []
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        _say("servers")
        upstream = stack.enter_context(targets.mock_upstream(folder, *delays_ms))
        running = [upstream, stack.enter_context(targets.bare_app(folder))]
        running.append(stack.enter_context(targets.gateway(folder / "gateway", upstream)))
        if python is not None:
            running.append(stack.enter_context(targets.tensorzero(folder, python, upstream)))
        by_name = {target.name: target for target in running}
        for scenario in chosen:
            _say(scenario.name)
            results += measure(scenario, by_name, settings)
    return results


def _say(step: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {step}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m benches.gateway")
