"""The demo, run as its user runs it: a process with a terminal's worth of output."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuralrouting.demo.outcome import Outcome
from neuralrouting.demo.prompts import PROMPTS
from neuralrouting.demo.report import totals
from neuralrouting.providers.local import packaged_model

DEMO = [sys.executable, "-P", "-m", "neuralrouting.cli", "demo"]
SECONDS = 120


def environment(home: Path, **settings: str) -> dict[str, str]:
    """What a machine without provider keys has."""
    ours = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**ours, "DATA_DIR": str(home), "PYTHONUNBUFFERED": "1", **settings}


def run_once(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--once", "--port", "0"],
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def outcome(*, simulated: bool, cost_nanousd: int | None, baseline_nanousd: int | None) -> Outcome:
    return Outcome(
        "plain", "text", "model", "provider", "miss", simulated, 10, 10, cost_nanousd, baseline_nanousd, 5.0, 0.5
    )


@pytest.mark.skipif(packaged_model() is None and os.environ.get("CI") != "true", reason="run `make demo` first")
def test_the_demo_gets_real_answers_and_ends_with_a_table(tmp_path: Path):
    done = run_once(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\[.+ ms  \S", done.stdout, re.MULTILINE)) == len(PROMPTS)
    found = re.search(r"(\d+) answers: (\d+) real, (\d+) simulated; (\d+) from the cache", done.stdout)
    assert found is not None
    total, real, simulated, hits = map(int, found.groups())
    assert (total, real + simulated) == (len(PROMPTS), len(PROMPTS))
    assert real >= 10
    assert hits == 5
    assert "smollm2-135m-instruct" in done.stdout


def test_without_any_model_every_answer_is_marked_as_simulated(tmp_path: Path):
    done = run_once(tmp_path, LOCAL_ENABLED="off")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(PROMPTS)} answers: 0 real, {len(PROMPTS)} simulated; 5 from the cache" in done.stdout
    assert done.stdout.count("SIMULATED") == len(PROMPTS)
    assert "real:      spent $0.000000" in done.stdout


def test_a_prompt_without_an_answer_makes_the_demo_fail_after_its_table(tmp_path: Path):
    done = run_once(tmp_path, LOCAL_ENABLED="off", SIMULATED_FAIL="503@gpt-4o")
    assert done.returncode == 1
    assert "FAILED HTTP 503" in done.stdout
    assert "Who answered" in done.stdout
    assert "prompts got no answer" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_taken_port_is_told_in_one_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*DEMO, "--once", "--port", str(port)],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"port {port} is taken" in done.stderr


@contextmanager
def serving_demo(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A demo that serves on, and what it printed until then."""
    with subprocess.Popen(
        [*DEMO, "--port", "0"], env=environment(home, LOCAL_ENABLED="off"), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line)
            if "model.invoke" in line:
                break
        try:
            yield demo, "".join(lines)
        finally:
            demo.terminate()  # not killed: its gateway would live on
            demo.wait(SECONDS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_serves_on_and_stops_when_told_to(tmp_path: Path, number: signal.Signals):
    with serving_demo(tmp_path) as (demo, printed):
        address = re.search(r"http://127\.0\.0\.1:(\d+)/docs", printed)
        assert address is not None
        port = int(address.group(1))
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        demo.send_signal(number)
        assert demo.wait(SECONDS) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_key_is_shown_to_the_user_and_not_written_to_the_log(tmp_path: Path):
    with serving_demo(tmp_path) as (_, printed):
        key = re.search(r"nr_live_\w+", printed)
        assert key is not None
        assert printed.count(key.group()) == 4
        assert key.group() not in (tmp_path / "demo" / "gateway.log").read_text()


def test_real_and_simulated_money_are_never_added():
    real = outcome(simulated=False, cost_nanousd=1_000_000, baseline_nanousd=3_000_000)
    invented = outcome(simulated=True, cost_nanousd=50_000_000, baseline_nanousd=70_000_000)
    lines = totals([real, real, invented])
    assert lines[1] == "real:      spent $0.002000, on the baseline model $0.006000, saved $0.004000 (66.7 %)"
    assert lines[2].startswith("simulated: at list prices $0.050000, on the baseline model $0.070000")


def test_an_unpriced_answer_is_counted_and_not_summed_as_zero():
    priced = outcome(simulated=False, cost_nanousd=1_000_000, baseline_nanousd=1_000_000)
    unpriced = outcome(simulated=False, cost_nanousd=None, baseline_nanousd=5_000_000)
    assert totals([priced, unpriced])[1].endswith("saved $0.000000 (0.0 %); 1 unpriced answers are not in these sums")
