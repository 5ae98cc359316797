"""The first start: an account with the default plan, an owner's key, and a plan that must exist."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from live_gateway import free_port
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.keys import KeyRows

Started = subprocess.Popen[bytes]


def start(folder: Path, **environment: str) -> tuple[Started, Path]:
    """Start `serve` on an empty database; what it tells is in the file."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environ |= {"DATA_DIR": str(folder / "data"), "SERVER_PORT": str(free_port()), "LOCAL_ENABLED": "off"}
    environ |= {"NEURALROUTING_CONFIG": "", "DATABASE_URL": "", **environment}
    log = folder / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "neuralrouting.cli", "serve"]
        return subprocess.Popen(command, env=environ, stdout=output, stderr=output, cwd=folder), log


def stop(process: Started) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def until(found: Callable[[], object], process: Started) -> object:
    deadline_s = time.monotonic() + 60
    while not (value := found()):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return value


def use_link(url: str) -> None:
    """Become the first user by the link that the start printed."""
    headers, told = {"sec-fetch-site": "same-origin"}, {"email": "Ann@example.com", "password": "correct horse battery"}
    with httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
        assert "first here" in client.get(url).text
        assert client.post(url, data=told).status_code == 303
        assert client.get(url).status_code == 404
        body = client.get(f"{url.partition('/login')[0]}/settings.json").json()
    assert (body["user"]["name"], body["user"]["role"]) == ("ann@example.com", "owner")


def test_the_first_account_has_the_default_plan_and_its_first_key_and_user_are_owners(tmp_path: Path):
    process, log = start(tmp_path, BILLING_DEFAULT_PLAN="starter")
    try:
        shown = until(lambda: re.search(r"shown this once: (nr_live_\w+)", log.read_text()), process)
        link = re.search(r"sign in, once.*: (http://127\S+/login/link/[\w-]{43})", log.read_text())
        assert link is not None
        until(lambda: "Started worker-1 runtime" in log.read_text(), process)
        use_link(link[1])
    finally:
        stop(process)
    assert "correct horse" not in log.read_text()

    async def made(database: Database) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        accounts = [(row.id, row.plan_id) for row in await AccountRows(database).all()]
        return accounts, [(row.id, row.account_id, row.role) for row in await KeyRows(database).all(None)]

    async def ask() -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        database = await open_database(None, tmp_path / "data")
        try:
            return await made(database)
        finally:
            await database.close()

    key_id = shown[1][8:20]
    assert asyncio.run(ask()) == ([("default", "starter")], [(key_id, "default", "owner")])


def test_a_gateway_whose_default_plan_is_not_there_does_not_start(tmp_path: Path):
    process, log = start(tmp_path, BILLING_DEFAULT_PLAN="startr")
    assert process.wait(60) == 1
    assert log.read_text() == "Error: billing.default_plan: there is no plan 'startr'; did you mean 'starter'?\n"
