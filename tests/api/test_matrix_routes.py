"""The confidence matrix over HTTP and on the command line: shown as it is, built when told, each account its own."""

import asyncio
import json
import time

import msgspec
import pytest
from click.testing import CliRunner, Result
from tenants import Tenant, new_tenant

from compared import CHEAP, REFERENCE, series, write
from live_gateway import LiveGateway
from neuralrouting.cli import main
from settling import request_row

MATRIX, REBUILD = "/v1/routing/matrix", "/v1/routing/matrix/rebuild"
SIMULATED = "simulated/gpt-4o"
"""The reference of a gateway without any provider."""


def audit(tenant: Tenant, verdicts: str, **columns: object) -> None:
    """Have answers of this account compared, behind the gateway's back."""

    async def run() -> None:
        async with tenant.gateway.opened() as database:
            await write(database, series(verdicts, account_id=tenant.account, reference=SIMULATED, **columns))

    asyncio.run(run())


@pytest.fixture
def ours(gateway: LiveGateway) -> Tenant:
    return new_tenant(gateway, "matrix")


def rebuild(tenant: Tenant) -> dict[str, object]:
    with tenant.client("owner") as client:
        response = client.post(REBUILD)
    assert response.status_code == 200, response.text
    return response.json()


def test_before_any_comparison_there_are_priors_only(ours: Tenant):
    told = ours.get(MATRIX).json()
    assert (told["state"], told["seq"], told["built"], told["cells"]) == ("priors", None, None, [])
    assert (told["account"], told["reference"]) == (ours.account, SIMULATED)
    assert (told["settings"]["margin"], told["settings"]["promote"]) == (0.05, 0.8)


def test_a_build_shows_what_comparisons_have_proven(ours: Tenant):
    audit(ours, "t" * 60)
    audit(ours, "l" * 60, task="coding")
    built = rebuild(ours)
    told = ours.get(MATRIX).json()
    assert told == built
    assert (told["state"], told["audits"], told["feedback"]) == ("learned", 120, 0)
    states = {(cell["candidate"], cell["task"]): (cell["state"], cell["n"]) for cell in told["cells"]}
    assert states == {(CHEAP, "coding"): ("refused", 60), (CHEAP, "qa"): ("proven", 60)}
    [qa] = [cell for cell in told["cells"] if cell["task"] == "qa"]
    assert qa["low"] < qa["mean"] < qa["high"]
    assert qa["needed"] == 0


def test_another_build_has_a_greater_number(ours: Tenant):
    assert rebuild(ours)["seq"] < rebuild(ours)["seq"]  # type: ignore[operator]


def test_readiness_tells_that_something_was_learned(ours: Tenant, gateway: LiveGateway):
    audit(ours, "t" * 60)
    rebuild(ours)
    with gateway.client() as client:
        ready = client.get("/readyz").json()["confidence"]
    assert ready["accounts"] >= 1
    assert time.strptime(ready["built"], "%Y-%m-%dT%H:%M:%SZ")


def test_what_is_proven_is_told_where_premium_was_not_needed(ours: Tenant):
    cheap, paid = "simulated/gpt-4o-mini", {"prompt_tokens": 600, "completion_tokens": 400, "cost_nanousd": 10_000_000}
    candidates = json.dumps([SIMULATED, cheap])
    now_ms = time.time_ns() // 1_000_000
    row = request_row(f"req_{ours.account}", deployment=SIMULATED, candidates=candidates, simulated=True, task="qa")
    ours.settle(msgspec.structs.replace(row, created_ms=now_ms, **paid))
    [before] = ours.get("/v1/usage/premium-not-needed").json()["data"]
    assert (before["alternative"], before["proven"], before["evidence"]) == (cheap, False, None)
    audit(ours, "t" * 60, candidate=cheap)
    rebuild(ours)
    [after] = ours.get("/v1/usage/premium-not-needed").json()["data"]
    assert (after["alternative"], after["proven"], after["evidence"]["n"]) == (cheap, True, 60)
    assert after["evidence"]["interval"][0] < 0 < after["evidence"]["interval"][1]


def test_a_build_that_is_damaged_is_told_apart_from_none(ours: Tenant):
    rebuild(ours)

    async def damage() -> None:
        async with ours.gateway.opened() as database:
            await database.execute("UPDATE confidence SET matrix = '{' WHERE account_id = $1", ours.account)

    asyncio.run(damage())
    told = ours.get(MATRIX).json()
    assert (told["state"], told["cells"]) == ("broken", [])
    assert rebuild(ours)["state"] == "priors"


def _command(gateway: LiveGateway, *words: str) -> Result:
    environ = {"NEURALROUTING_CONFIG": None, "DATABASE_URL": None, "DATA_DIR": str(gateway.data_dir)}
    return CliRunner().invoke(main, ("matrix", *words), env=environ, prog_name="neuralrouting")


def test_the_command_builds_what_every_worker_follows(ours: Tenant, gateway: LiveGateway):
    nothing = _command(gateway, "rebuild", "--account", ours.account)
    assert nothing.exit_code == 1
    assert "compared" in nothing.output
    audit(ours, "t" * 60)
    done = _command(gateway, "rebuild", "--account", ours.account, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert [cell["state"] for cell in told["cells"]] == ["proven"]
    shown = _command(gateway, "show", "--account", ours.account)
    assert shown.exit_code == 0
    for part in ("state: learned", f"reference: {SIMULATED}", CHEAP, "proven"):
        assert part in shown.output
    assert ours.get(MATRIX).json()["seq"] == told["seq"]


def test_the_command_refuses_an_account_that_is_misspelt(gateway: LiveGateway):
    for word in ("show", "rebuild"):
        done = _command(gateway, word, "--account", "nobody-at-all")
        assert (done.exit_code, "nobody-at-all" in done.output) == (1, True)


def test_the_command_shows_that_nothing_was_built(ours: Tenant, gateway: LiveGateway):
    done = _command(gateway, "show", "--account", ours.account)
    assert (done.exit_code, done.output) == (0, "state: priors\n")


def test_comparisons_of_real_models_are_of_no_use_to_a_gateway_that_only_simulates(ours: Tenant):
    async def run() -> None:
        async with ours.gateway.opened() as database:
            await write(database, series("t" * 60, account_id=ours.account, reference=REFERENCE))

    asyncio.run(run())
    assert rebuild(ours)["cells"] == []
