"""The loop, closed: a real local model is audited against a scripted premium one, and the next prompt goes elsewhere.

The local model is SmolLM2-135M in its own process. The premium model and the judge are scripted on a socket, since real
ones cost money: the judge finds every answer of the premium model the better one.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from fake_replies import Answer
from fake_upstream import FakeUpstream, Recorded, Reply
from live_gateway import LiveGateway, running_gateway
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY

LOCAL, SAGE = "local/smollm2-135m-instruct", "scripted/sage-1"
SIGN = "as every atlas says"
"""Words that only the premium model uses, by which the scripted judge knows it."""
COUNTRIES = (
    "France", "Italy", "Spain", "Portugal", "Norway", "Sweden", "Finland", "Denmark", "Poland", "Austria", "Hungary",
    "Greece", "Turkey", "Egypt", "Kenya", "Ghana", "Peru", "Chile", "Cuba", "Canada", "Japan", "China", "India",
    "Nepal", "Vietnam",
)  # fmt: skip
ALIKE, UNLIKE = "What is the capital of Mexico?", "Who wrote the novel about the white whale?"
"""A prompt near those that will go wrong, which goes to the premium model at once, and one that the matrix moves."""
ENOUGH_AUDITS = 22
PATIENCE_S = 90.0

CONFIG = """
local: {{enabled: "on", parallel: 2, context_tokens: 1024}}
simulated: {{enabled: "off"}}
providers:
  scripted: {{kind: openai, base_url: "{url}/v1", api_key: not-a-secret, allow_private: true}}
models:
  - {{model: sage-1, provider: scripted, tier: premium, context_tokens: 100000, max_output_tokens: 4096,
     input_usd_per_mtok: "5", output_usd_per_mtok: "15"}}
  - {{model: judge-1, provider: scripted, tier: premium, context_tokens: 100000, max_output_tokens: 4096,
     input_usd_per_mtok: "9", output_usd_per_mtok: "30"}}
routing: {{reference_model: sage-1}}
shadow: {{share: 1.0, most: 1.0, judge_model: judge-1, daily_usd: "5"}}
"""


def scripted(request: Recorded) -> Reply:
    """Answer as the model that is asked for."""
    asked = request.json()
    if asked["model"] != "judge-1":
        return Answer(f"It is the city that everybody knows, {SIGN}.", model="sage-1-2026-01")(request)
    shown = asked["messages"][-1]["content"]
    answers = dict(re.findall(r"<<<ANSWER ([AB]) \S+\n(.*?)END OF", shown, flags=re.DOTALL))
    [better] = [side for side, text in answers.items() if SIGN in text]
    return Answer(f'{{"better": "{better}", "reason": "correctness"}}', model="judge-1")(request)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    pytest.importorskip("xllamacpp", reason="pip install 'neuralrouting[local]'")
    folder: Path = tmp_path_factory.mktemp("journey")
    with FakeUpstream(scripted) as upstream:
        config = CONFIG.format(url=upstream.url)
        with running_gateway(folder, config=config, SHADOW_ENABLED="true") as running:
            asyncio.run(promoted(running))
            yield running


async def promoted(gateway: LiveGateway) -> None:
    """Make its key an owner's, who may have the matrix rebuilt."""
    async with gateway.opened() as database:
        await KeyRows(database).change(
            gateway.key_id, lambda had: msgspec.structs.replace(had, role="owner"), 1, actor=GATEWAY
        )


def asked_of(client: httpx.Client, prompt: str) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 12}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def explained(client: httpx.Client, prompt: str) -> dict[str, Any]:
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "max_tokens": 12}
    told = client.post("/v1/route/explain", json=body)
    assert told.status_code == 200, told.text
    return told.json()


def cell(client: httpx.Client) -> dict[str, Any] | None:
    """What the matrix says of the local model at questions."""
    cells = client.get("/v1/routing/matrix").json()["cells"]
    return next((c for c in cells if c["candidate"] == LOCAL and c["task"] == "qa"), None)


def wait_for(what: str, found: Any) -> None:  # noqa: ANN401  a question that becomes true
    deadline_s = time.monotonic() + PATIENCE_S
    while not found():
        assert time.monotonic() < deadline_s, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.3)


def test_audits_flip_a_cell_and_the_next_prompt_is_routed_otherwise_and_told_why(gateway: LiveGateway):
    with gateway.client() as client:
        assert client.get("/readyz").json()["confidence"]["state"] == "priors"
        before = explained(client, UNLIKE)
        assert before["route"]["chosen"] == LOCAL, before

        served = [asked_of(client, f"What is the capital of {name}?").headers["x-nr-model"] for name in COUNTRIES]
        assert served[0] == "smollm2-135m-instruct"
        wait_for("an escalation", lambda: explained(client, ALIKE)["route"]["chosen"] == SAGE)
        wait_for("audits", lambda: client.get("/v1/shadow").json()["answers"]["audits"] >= ENOUGH_AUDITS)
        wait_for("a rebuild", lambda: client.post("/v1/routing/matrix/rebuild").status_code == 200)

        flipped = cell(client)
        assert flipped is not None
        assert flipped["state"] == "refused", flipped
        assert flipped["mean"] < -0.5
        wait_for("the new matrix", lambda: client.get("/readyz").json()["confidence"]["state"] == "learned")

        after = explained(client, UNLIKE)
        assert after["route"]["chosen"] == SAGE, after
        [local] = [c for c in after["route"]["candidates"] if c["model"] == LOCAL]
        assert local["basis"] == "refused"
        assert "audits" in local["lost"]
        moved = asked_of(client, UNLIKE)
        assert moved.headers["x-nr-model"] == "sage-1"
        place = f"/v1/audit/{moved.headers['x-request-id']}"
        wait_for("its row", lambda: client.get(place).status_code == 200)
        assert client.get(place).json()["decision"]["route"]["chosen"] == SAGE


def test_a_poor_answer_in_the_cache_is_replaced_by_the_premium_one(gateway: LiveGateway):
    with gateway.client() as client:
        again = asked_of(client, f"What is the capital of {COUNTRIES[0]}?")
        assert again.headers["x-nr-cache"].startswith("exact")
        assert SIGN in again.json()["choices"][0]["message"]["content"]
