"""Runs a scenario: rounds in which every target has its turn, repeated while the machine is busy with other work."""

import os
import statistics
import time
from collections.abc import Callable, Mapping

import msgspec

from .bodies import chat_body, wire_requests
from .load import Load, LoadError, loopback_address, run_load
from .processes import cpu_s, machine_cpu_s, process_tree, rss_mb
from .scenarios import DIRECT, Scenario
from .targets import Target, answers_given

DRAIN_S = 0.3
"""After a run: rows are written behind the answers, and that work is counted as well."""
QUIET_CORES = 0.25
"""A round in which others burn more than this is repeated."""


class Settings(msgspec.Struct, frozen=True):
    """How long and how often. No round is repeated for noise once a scenario has taken `patience_s`."""

    repeats: int
    seconds: float
    warm_up_s: float
    patience_s: float


class Run(msgspec.Struct, frozen=True):
    """One target under load once: what clients saw, what it cost, and how busy the machine was with others."""

    load: Load
    cpu_us: float
    upstream_calls: float
    others_cores: float
    rss_before_mb: float
    rss_after_mb: float


class Result(msgspec.Struct, frozen=True):
    """One target in one scenario: medians over the quietest rounds; `runs` holds every one that was made."""

    scenario: str
    target: str
    per_s: float
    p50_us: float
    p99_us: float
    first_byte_p50_us: float
    cpu_us: float
    upstream_calls: float
    errors: int
    others_cores: float
    rss_before_mb: float
    rss_after_mb: float
    runs: tuple[Run, ...]


def measure(scenario: Scenario, targets: Mapping[str, Target], settings: Settings) -> list[Result]:
    """Warm every target up, then run rounds until enough of them were quiet or patience has ended."""
    patience_ends_s = time.monotonic() + settings.patience_s
    taking_part = [targets[name] for name in scenario.targets if name in targets]
    for target in taking_part:
        send(scenario, target, settings.warm_up_s)
    rounds: list[dict[str, Run]] = []
    while len(rounds) < settings.repeats or (_quiet(rounds) < settings.repeats and time.monotonic() < patience_ends_s):
        rounds.append({t.name: _run(scenario, t, targets[DIRECT], settings.seconds) for t in taking_part})
    best = sorted(rounds, key=_noise)[: settings.repeats]
    return [_result(scenario.name, t.name, [r[t.name] for r in best], [r[t.name] for r in rounds]) for t in taking_part]


def send(scenario: Scenario, target: Target, seconds: float) -> Load:
    """Send a scenario's traffic to one target. Raises LoadError when it answers nothing."""
    host, port, path = loopback_address(target.url)
    body = chat_body(target.model, stream=scenario.stream)
    requests = wire_requests(host, path, target.headers + scenario.headers, body, unique=scenario.unique)
    try:
        return run_load(
            (host, port),
            requests,
            connections=scenario.connections,
            seconds=seconds,
            answer_ends_with=b"data: [DONE]\n\n" if scenario.stream else b"}",
        )
    except LoadError as error:
        raise LoadError(f"{scenario.name}, {target.name}: {error}") from error


def _run(scenario: Scenario, target: Target, upstream: Target, seconds: float) -> Run:
    theirs, all_ours = process_tree(target.pid), process_tree(os.getpid())
    rss_before_mb, calls = rss_mb(theirs), answers_given(upstream)
    started_s, cpu, others = time.perf_counter(), cpu_s(theirs), machine_cpu_s() - cpu_s(all_ours)
    load = send(scenario, target, seconds)
    others = machine_cpu_s() - cpu_s(all_ours) - others
    elapsed_s = time.perf_counter() - started_s
    time.sleep(DRAIN_S)
    answered = load.requests + load.errors
    return Run(
        load,
        cpu_us=(cpu_s(theirs) - cpu) / answered * 1e6,
        upstream_calls=(answers_given(upstream) - calls) / answered,
        others_cores=max(0.0, others / elapsed_s),
        rss_before_mb=rss_before_mb,
        rss_after_mb=rss_mb(theirs),
    )


def _noise(round_: Mapping[str, Run]) -> float:
    return max(run.others_cores for run in round_.values())


def _quiet(rounds: list[dict[str, Run]]) -> int:
    return sum(_noise(round_) <= QUIET_CORES for round_ in rounds)


def _result(scenario: str, target: str, best: list[Run], every: list[Run]) -> Result:
    def median(of: Callable[[Run], float]) -> float:
        return statistics.median(of(run) for run in best)

    return Result(
        scenario,
        target,
        per_s=median(lambda run: run.load.per_s),
        p50_us=median(lambda run: run.load.p50_us),
        p99_us=median(lambda run: run.load.p99_us),
        first_byte_p50_us=median(lambda run: run.load.first_byte_p50_us),
        cpu_us=median(lambda run: run.cpu_us),
        upstream_calls=median(lambda run: run.upstream_calls),
        errors=sum(run.load.errors for run in every),
        others_cores=median(lambda run: run.others_cores),
        rss_before_mb=every[0].rss_before_mb,
        rss_after_mb=every[-1].rss_after_mb,
        runs=tuple(every),
    )
