"""`/v1/shadow` on a running gateway: answers are audited behind the requests, shown, and judged by people."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conversation import CHAT, ask
from tenants import Tenant, new_tenant

from fake_replies import Answer
from fake_upstream import FakeUpstream, Recorded, Reply
from live_gateway import LiveGateway, running_gateway

CONFIG = """
local: {{enabled: "off"}}
simulated: {{enabled: "off"}}
routing: {{reference_model: good}}
shadow: {{share: 1, most: 1, cache_share: 1, daily_usd: "5"}}
providers:
  house: {{base_url: "{url}"}}
models:
  - {{model: cheap, provider: house, context_tokens: 64000, max_output_tokens: 4000,
      input_usd_per_mtok: "0.1", output_usd_per_mtok: "0.4"}}
  - {{model: good, provider: house, context_tokens: 64000, max_output_tokens: 4000,
      input_usd_per_mtok: "4", output_usd_per_mtok: "12"}}
  - {{model: judge, provider: house, context_tokens: 64000, max_output_tokens: 4000,
      input_usd_per_mtok: "5", output_usd_per_mtok: "15"}}
"""
SKY = "Why is the sky blue?"


def _reply(request: Recorded) -> Reply:
    """The cheap model knows little, and the judge, who is fair, sees that."""
    body = request.json()
    if body["model"] == "judge":
        first = body["messages"][1]["content"].partition("<<<ANSWER B")[0]
        side = "A" if "Rayleigh" in first else "B"
        return Answer(f'{{"better": "{side}", "reason": "correctness", "note": "It names why."}}')(request)
    return Answer("Rayleigh scattering." if body["model"] == "good" else "Because.", model=body["model"])(request)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with FakeUpstream(_reply) as upstream:
        place = tmp_path_factory.mktemp("shadow")
        with running_gateway(place, config=CONFIG.format(url=upstream.url), SHADOW_ENABLED="true") as gateway:
            yield gateway


@pytest.fixture
def tenant(audited: LiveGateway) -> Tenant:
    return new_tenant(audited, "shadowed")


def _answer(client: httpx.Client, prompt: str, **fields: object) -> str:
    response = client.post(CHAT, json=ask(prompt, **fields))
    assert response.status_code == 200, response.text
    if fields.get("stream"):
        return response.text
    return response.json()["choices"][0]["message"]["content"]


def _audits(tenant: Tenant, count: int, **told: str) -> list[dict[str, Any]]:
    """The audits, newest first, once there are so many."""
    until_s = time.monotonic() + 10
    while True:
        data = tenant.get("/v1/shadow/audits", **told).json()["data"]
        if len(data) >= count:
            return data
        assert time.monotonic() < until_s, f"{len(data)} of {count} audits"
        time.sleep(0.05)


def _until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_a_poor_answer_is_found_out_and_the_next_one_is_better(tenant: Tenant, *, stream: bool):
    with tenant.client("member") as client:
        assert "Because." in _answer(client, SKY, stream=stream)
        [audit] = _audits(tenant, 1)
        assert _answer(client, SKY) == "Rayleigh scattering."
    assert (audit["verdict"], audit["difference"], audit["method"]) == ("lose", -1.0, "judge")
    assert (audit["candidate"], audit["reference"], audit["judge"]) == ("house/cheap", "house/good", "house/judge")
    assert (audit["reason"], audit["propensity"], audit["kind"]) == ("correctness", 1.0, "answer")
    assert "Rayleigh" not in str(audit)


def test_figures_tell_what_became_of_audits_and_what_they_cost(tenant: Tenant):
    with tenant.client("member") as client:
        _answer(client, SKY)
    [audit] = _audits(tenant, 1)
    told = tenant.get("/v1/shadow").json()
    assert (told["answers"]["audits"], told["answers"]["lose"], told["answers"]["by_method"]["judge"]) == (1, 1, 1)
    assert told["today"]["cost_nanousd"] == audit["cost_nanousd"] == told["answers"]["cost_nanousd"]
    assert told["today"]["budget_usd"] == "5.000000000"
    assert (told["worker"]["drawn"], told["worker"]["judged"], told["worker"]["dropped"]) == (1, 1, 0)
    assert told["judge"] == {"judged": 0, "agreed": 0, "rate": None, "interval": [0.0, 1.0], "pairs": []}


def test_a_person_judges_and_the_judge_is_measured_by_it(tenant: Tenant):
    with tenant.client("owner") as client:
        _answer(client, SKY)
        [audit] = _audits(tenant, 1)
        place = f"/v1/shadow/audits/{audit['id']}"
        assert client.put(f"{place}/verdict", json={"verdict": "lose"}).json()["human"] == "lose"
        assert client.get(place).json()["human"] == "lose"
        trust = client.get("/v1/shadow").json()["judge"]
        assert (trust["judged"], trust["agreed"], trust["rate"]) == (1, 1, 1.0)
        assert trust["pairs"] == [{"judge": "lose", "human": "lose", "audits": 1}]
        assert client.put(f"{place}/verdict", json={"verdict": None}).json()["human"] is None
        assert client.put(f"{place}/verdict", json={"verdict": "good"}).status_code == 422
        assert client.put("/v1/shadow/audits/aud_0/verdict", json={"verdict": "tie"}).status_code == 404


def test_a_hit_of_the_cache_is_audited_and_counted_where_hits_are(tenant: Tenant):
    with tenant.client("member") as client:
        assert _answer(client, SKY) == "Because."
        _audits(tenant, 1)
        _answer(client, "why is the sky blue")
        [audit] = _audits(tenant, 1, kind="cache")
    assert (audit["candidate"], audit["reference"], audit["verdict"]) == ("house/good", "house/good", "tie")
    told = tenant.get("/v1/shadow").json()
    assert told["wrong_hits"]["judged"] == 1
    assert told["wrong_hits"]["wrong"] == 0
    _until(lambda: tenant.get("/v1/cache").json()["wrong_hits"]["judged"] == 1)  # judged once its row is written


def test_pages_and_filters_of_audits(tenant: Tenant):
    ids = [tenant.audited(task=task) for task in ("qa", "coding", "qa")]
    first = tenant.get("/v1/shadow/audits", limit=2).json()
    second = tenant.get("/v1/shadow/audits", limit=2, cursor=first["next"]).json()
    assert [audit["id"] for audit in first["data"] + second["data"]] == ids[::-1]
    assert second["next"] is None
    assert [audit["id"] for audit in tenant.get("/v1/shadow/audits", task="coding").json()["data"]] == [ids[1]]
    assert tenant.get("/v1/shadow/audits", cursor="aud_0").status_code == 422
    assert tenant.get("/v1/shadow/audits", verdict="good").json()["error"]["param"] == "verdict"
    assert tenant.get("/v1/shadow/audits", mood="good").status_code == 422


def test_a_request_that_wants_nothing_kept_is_not_audited(tenant: Tenant, audited: LiveGateway):
    with audited.client(Authorization=f"Bearer {tenant.member}", **{"Cache-Control": "no-store"}) as client:
        _answer(client, SKY)
    with tenant.client("member") as client:
        _answer(client, SKY, model="cheap")
        _answer(client, "And why is the grass green?")
    [audit] = _audits(tenant, 1)
    assert tenant.get("/v1/shadow").json()["worker"]["drawn"] == 1
    assert audit["candidate"] == "house/cheap"


def test_neither_prompts_nor_answers_are_kept_or_logged(tenant: Tenant, audited: LiveGateway):
    with tenant.client("member") as client:
        _answer(client, "What does the canary-7731 sing?")
    _audits(tenant, 1)
    log = audited.log.read_text()
    assert "canary-7731" not in log
    assert "Rayleigh" not in log
