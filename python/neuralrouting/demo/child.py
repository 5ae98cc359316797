"""The demo's gateway: a child process on embedded defaults, with data and a key of its own."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from neuralrouting.accounts.keys import create_key
from neuralrouting.clock import unix_ms
from neuralrouting.config import Config
from neuralrouting.errors import ConfigError, Unavailable
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import open_database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

HOST = "127.0.0.1"
_SERVE = ("-m", "neuralrouting.cli", "serve")
_START_S = 60.0
_STOP_S = 40.0
"""A little more than Granian gives its workers."""
_POLL_S = 0.1
_SHOWN_LINES = 12


class Child:
    """A gateway that serves; `log` is where it writes."""

    def __init__(self, url: str, api_key: str, log: Path, process: "subprocess.Popen[bytes]") -> None:
        self.url = url
        self.api_key = api_key
        self.log = log
        self._process = process

    def wait(self) -> None:
        """Wait until the gateway ends; raises Unavailable, since nobody asked it to."""
        self._process.wait()
        raise self._ended()

    def wait_until_ready(self) -> None:
        """Wait until it can serve. Raises Unavailable with the end of its log when it cannot."""
        deadline_s = time.monotonic() + _START_S
        with httpx.Client(trust_env=False, timeout=5) as client:
            while not _is_ready(client, f"{self.url}/readyz"):
                if self._process.poll() is not None:
                    raise self._ended()
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"the gateway was not ready within {_START_S:g} s; see {self.log}")
                time.sleep(_POLL_S)

    def stop(self) -> None:
        """End it: asked first, killed when it does not listen or Ctrl-C comes again."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _ended(self) -> Unavailable:
        last = self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return Unavailable("\n".join(["the gateway ended:", *last]))


@contextmanager
def running_gateway(config: Config, say: Callable[[str], None]) -> Generator[Child]:
    """Start a gateway and stop it at the end. Raises ConfigError for a taken port, Unavailable if it cannot serve."""
    port = _port(config.server.port)
    home = _new_home(Path(config.data_dir) / "demo")
    api_key = asyncio.run(_make_key(home))
    log = home / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  our own interpreter, no shell
            [sys.executable, "-P", *_SERVE],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(home, port),
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
        )
    child = Child(f"http://{HOST}:{port}", api_key, log, process)
    try:
        say(f"starting a gateway at {child.url}, log {log}")
        child.wait_until_ready()
        yield child
    finally:
        child.stop()


def _port(wanted: int) -> int:
    """Return a port that can be listened on; 0 asks for any. Raises ConfigError when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise ConfigError(
                f"port {wanted} is taken: stop what runs there, or choose another with --port (make demo PORT=8090)"
            ) from error
        return probe.getsockname()[1]


def _new_home(home: Path) -> Path:
    """Make the demo's directory anew, so that no answer of an earlier run is in its cache."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, mode=0o700)
    (home / "neuralrouting.yaml").write_text("# the demo runs on defaults\n")
    return home


async def _make_key(home: Path) -> str:
    database = await open_database(None, home)
    try:
        now_ms = unix_ms()
        await AccountRows(database).ensure("demo", "demo", now_ms, actor=GATEWAY)
        minted = await create_key(KeyRows(database), "demo", "demo", live=True, now_ms=now_ms, actor=GATEWAY)
    finally:
        await database.close()
    return minted.key


def _environment(home: Path, port: int) -> dict[str, str]:
    """Ours, for the provider keys in it, but with the demo's place, port and defaults."""
    return {
        **os.environ,
        "NEURALROUTING_CONFIG": str(home / "neuralrouting.yaml"),
        "DATA_DIR": str(home),
        "DATABASE_URL": "",
        "SERVER_HOST": HOST,
        "SERVER_PORT": str(port),
    }


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False
