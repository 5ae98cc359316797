"""What is measured, each in processes of its own: mock provider, bare app, our gateway, TensorZero's gateway."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import httpx
import msgspec
import yaml

from neuralrouting.accounts.keys import create_key
from neuralrouting.config.environment import environment_names
from neuralrouting.storage import trail
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import open_database
from neuralrouting.storage.keys import KeyRows

from .scenarios import BARE, DIRECT, GATEWAY, TENSORZERO

ROOT = Path(__file__).parents[2]
START_S, STOP_S = 60.0, 40.0
ACCOUNT = "bench"
CHAT_PATH = "/v1/chat/completions"


class TargetError(RuntimeError):
    """A server that did not come up; the message holds the end of its log."""


class Target(msgspec.Struct, frozen=True):
    """A running server: where chat completions go, what they need, and which process tree does the work."""

    name: str
    url: str
    model: str
    pid: int
    headers: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def mock_upstream(folder: Path, first_byte_ms: float, gap_ms: float) -> Generator[Target, None, None]:
    """Run the mock provider."""
    command = [sys.executable, "-m", "benches.gateway.mock_upstream"]
    command += ["--first-byte-ms", str(first_byte_ms), "--gap-ms", str(gap_ms)]
    log = folder / "mock.log"
    with _process(command, log, os.environ) as process:
        _wait(process, log, lambda: log.read_bytes().endswith(b"\n"))
        yield Target(DIRECT, f"http://127.0.0.1:{int(log.read_text())}{CHAT_PATH}", "mock-model", process.pid)


@contextlib.contextmanager
def bare_app(folder: Path) -> Generator[Target, None, None]:
    """Run the app that reads the body and answers fixed bytes."""
    port, log = free_port(), folder / "bare.log"
    with _process([sys.executable, "-m", "benches.gateway.bare_app", str(port)], log, os.environ) as process:
        _wait(process, log, lambda: _answers(f"http://127.0.0.1:{port}/"))
        yield Target(BARE, f"http://127.0.0.1:{port}{CHAT_PATH}", "none", process.pid)


@contextlib.contextmanager
def gateway(folder: Path, upstream: Target | None) -> Generator[Target, None, None]:
    """Run `neuralrouting serve` with one worker on a new data directory.

    Its one provider is the mock; without one it answers with simulated models.
    """
    folder.mkdir(parents=True)
    port, log, file = free_port(), folder / "gateway.log", folder / "neuralrouting.yaml"
    file.write_text(yaml.safe_dump(_settings(folder, port, upstream)))
    key = asyncio.run(_new_key(folder))
    ours = environment_names()
    environ = {k: v for k, v in os.environ.items() if k not in ours and not k.endswith("_API_KEY")}
    environ["NEURALROUTING_CONFIG"] = str(file)
    with _process([sys.executable, "-m", "neuralrouting.cli", "serve"], log, environ) as process:
        _wait(process, log, lambda: _answers(f"http://127.0.0.1:{port}/readyz"))
        headers = (("authorization", f"Bearer {key}"),)
        yield Target(GATEWAY, f"http://127.0.0.1:{port}{CHAT_PATH}", "auto", process.pid, headers)


@contextlib.contextmanager
def tensorzero(folder: Path, python: str, upstream: Target) -> Generator[Target, None, None]:
    """Run TensorZero's gateway inside the interpreter that has its package."""
    config, address, log = folder / "tensorzero.toml", folder / "tensorzero.url", folder / "tensorzero.log"
    config.write_text(_tensorzero_config(upstream))
    command = [python, str(Path(__file__).with_name("tensorzero_host.py")), str(config), str(address)]
    with _process(command, log, {**os.environ, "MOCK_KEY": "none"}) as process:
        _wait(process, log, lambda: address.is_file() and bool(address.read_text()))
        url = address.read_text().rstrip("/") + "/chat/completions"
        yield Target(TENSORZERO, url, "tensorzero::model_name::mock", process.pid)


def tensorzero_python() -> tuple[str | None, str]:
    """Return the interpreter that has TensorZero's package, or None and why there is none."""
    python = os.environ.get("TENSORZERO_PYTHON")
    if not python:
        return None, "TENSORZERO_PYTHON is not set to the python of an environment with tensorzero and openai"
    try:
        found = subprocess.run([python, "-c", "import tensorzero, openai"], capture_output=True, text=True, check=False)
    except OSError as error:
        return None, f"TENSORZERO_PYTHON: {error}"
    said = found.stderr.strip().splitlines() or ["it says nothing"]
    return (python, "") if found.returncode == 0 else (None, f"TENSORZERO_PYTHON={python}: {said[-1]}")


def answers_given(upstream: Target) -> int:
    """Return how many requests the mock has answered so far."""
    return int(httpx.get(upstream.url, trust_env=False).text)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _settings(folder: Path, port: int, upstream: Target | None) -> dict[str, object]:
    settings: dict[str, object] = {
        "server": {"host": "127.0.0.1", "port": port, "workers": 1},
        "local": {"enabled": "off"},
        "simulated": {"enabled": "off" if upstream else "on"},
        "data_dir": str(folder),
        "log_level": "warning",
    }
    if upstream is not None:
        settings["providers"] = {"mock": {"base_url": upstream.url.removesuffix("/chat/completions")}}
        price = {"input_usd_per_mtok": "0.10", "output_usd_per_mtok": "0.40"}
        settings["models"] = [{"model": upstream.model, "provider": "mock", "context_tokens": 32_768, **price}]
    return settings


def _tensorzero_config(upstream: Target) -> str:
    return "\n".join([
        "gateway.observability.enabled = false",
        "[models.mock]",
        'routing = ["only"]',
        "[models.mock.providers.only]",
        'type = "openai"',
        f'model_name = "{upstream.model}"',
        f'api_base = "{upstream.url.removesuffix("chat/completions")}"',
        'api_key_location = "env::MOCK_KEY"',
    ])  # fmt: skip


async def _new_key(data_dir: Path) -> str:
    database = await open_database(None, data_dir)
    try:
        now_ms = time.time_ns() // 1_000_000
        await AccountRows(database).ensure(ACCOUNT, ACCOUNT, now_ms, actor=trail.GATEWAY)
        minted = await create_key(KeyRows(database), ACCOUNT, "load", live=True, now_ms=now_ms, actor=trail.GATEWAY)
        return minted.key
    finally:
        await database.close()


@contextlib.contextmanager
def _process(
    command: list[str], log: Path, environ: Mapping[str, str]
) -> "Generator[subprocess.Popen[bytes], None, None]":
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    raise TargetError(f"{log.stem} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
