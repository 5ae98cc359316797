"""A real gateway in processes of its own: Granian, workers, database, as `neuralrouting serve` starts them."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx

from neuralrouting.accounts.keys import create_key
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.trail import GATEWAY

START_S = 60.0
FIRST_PORT, PORT_RANGES, PORTS = 10_000, 5, 4_000
"""Linux hands out ports from 32,768 on."""
_numbers = count(os.getpid())


@dataclass(frozen=True)
class LiveGateway:
    """Where it listens, keys for it, and where its rows are."""

    url: str
    api_key: str
    test_key: str
    key_id: str
    data_dir: Path
    database_url: str | None
    pid: int
    log: Path

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.api_key}", **headers},
            timeout=60,
            trust_env=False,
        )

    def said(self, logger: str) -> list[str]:
        """What a logger of this gateway has said so far."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [told["message"] for told in map(json.loads, lines) if told["logger"] == logger]

    def rows(self, **where: str) -> list[RequestRow]:
        """The request rows with these column values, oldest first, after waiting for the writer."""
        time.sleep(0.3)
        return asyncio.run(self._rows(where))

    async def _rows(self, where: dict[str, str]) -> list[RequestRow]:
        import msgspec  # noqa: PLC0415

        condition = " AND ".join(f"{column} = ${n}" for n, column in enumerate(where, 1)) or "1 = 1"
        columns = ", ".join(RequestRow.__struct_fields__)
        async with self.opened() as database:
            found = await database.fetch(
                f"SELECT {columns} FROM requests WHERE {condition} ORDER BY created_ms, request_id", *where.values()
            )
        return [msgspec.convert(row, RequestRow, strict=False) for row in found]

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        database: Database = await open_database(self.database_url, self.data_dir)
        try:
            yield database
        finally:
            await database.close()


@contextlib.contextmanager
def running_gateway(
    data_dir: Path, *, config: str = "", database_url: str | None = None, **environment: str
) -> Iterator[LiveGateway]:
    """Start a gateway and wait until it is ready; `config` is the text of its YAML file."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file, log, port = data_dir / "neuralrouting.yaml", data_dir / "gateway.log", free_port()
    file.write_text(config)
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environ |= {"NEURALROUTING_CONFIG": str(file), "DATA_DIR": str(data_dir), "SERVER_PORT": str(port)}
    environ |= {"DATABASE_URL": database_url} if database_url else {}
    environ |= {"SHADOW_ENABLED": "false"}  # audits ask providers on their own, which tests count
    environ |= environment
    live, test = asyncio.run(_keys(database_url, data_dir))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "neuralrouting.cli", "serve"], env=environ, stdout=output, stderr=output
        )
    gateway = LiveGateway(f"http://127.0.0.1:{port}", live, test, live[8:20], data_dir, database_url, process.pid, log)
    try:
        _wait_until_ready(gateway, process)
        yield gateway
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


async def _keys(database_url: str | None, data_dir: Path) -> tuple[str, str]:
    database = await open_database(database_url, data_dir)
    try:
        rows, now_ms = KeyRows(database), int(time.time() * 1000)
        await AccountRows(database).ensure("default", "default", now_ms, actor=GATEWAY)
        live = await create_key(rows, "default", "live", live=True, now_ms=now_ms, actor=GATEWAY)
        test = await create_key(rows, "default", "test", live=False, now_ms=now_ms, actor=GATEWAY)
        return live.key, test.key
    finally:
        await database.close()


def _wait_until_ready(gateway: LiveGateway, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{gateway.url}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the gateway did not become ready:\n{gateway.log.read_text()}")


def free_port() -> int:
    """Return a port that nobody else is given: one of this worker of the tests, below those that the system hands out.

    A port that was free a moment ago may be somebody's by the time a gateway listens, and then that one answers.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_RANGES
    while True:
        port = FIRST_PORT + worker * PORTS + next(_numbers) % PORTS
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
