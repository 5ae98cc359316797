"""`GET /v1/models`: everything that can be asked for by this key, in OpenAI's shape with our fields beside it."""

import httpx
import pytest
from conversation import CHAT, ask, envelope, new_prompt
from staging import Stage

from live_gateway import LiveGateway

VIRTUAL = ("auto", "neural-router-v2", "neural-optimizer")
CAPABILITIES = {"tools", "vision", "audio", "json_mode", "json_schema", "logprobs"}


def listed(client: httpx.Client, **headers: str) -> dict[str, dict[str, object]]:
    body = client.get("/v1/models", headers=headers).json()
    assert body["object"] == "list"
    assert len({row["id"] for row in body["data"]}) == len(body["data"]), "ids are unique"
    return {row["id"]: row for row in body["data"]}


def test_every_row_is_a_model_in_openais_shape(client: httpx.Client):
    for row in listed(client).values():
        assert row["object"] == "model"
        assert type(row["created"]) is int
        assert isinstance(row["owned_by"], str)


def test_the_virtual_names_come_first(client: httpx.Client):
    assert tuple(listed(client))[:3] == VIRTUAL


def test_a_row_tells_tier_context_capabilities_and_a_dated_price_with_its_source(client: httpx.Client):
    row = listed(client)["simulated/gpt-4o"]
    assert (row["model"], row["owned_by"], row["simulated"], row["tier"]) == ("gpt-4o", "simulated", True, "premium")
    assert row["context_tokens"] == 128_000
    assert set(row["capabilities"]) == CAPABILITIES
    price = row["price"]
    assert (price["input_usd_per_mtok"], price["output_usd_per_mtok"]) == (2.5, 10.0)
    assert price["version"].startswith("genai-prices ")
    assert price["source"]


def test_an_unpriced_model_has_no_price(stage: Stage, on_stage: httpx.Client):
    assert listed(on_stage)["scripted/free-of-price"]["price"] is None


def test_every_listed_name_can_be_asked_for_and_told_about(client: httpx.Client):
    for name in listed(client):
        assert client.get(f"/v1/models/{name}").json()["id"] == name
        response = client.post(CHAT, json=ask(new_prompt(), model=name))
        assert response.status_code == 200, response.text
        assert name in VIRTUAL or response.headers["x-nr-model"] == name


def test_one_model_is_found_by_any_of_its_names_and_answers_to_that_name(client: httpx.Client):
    by_id = client.get("/v1/models/simulated/gpt-4o").json()
    by_name = client.get("/v1/models/gpt-4o").json()
    assert by_name["id"] == "gpt-4o"
    assert by_name | {"id": ""} == by_id | {"id": ""}


@pytest.mark.parametrize(("name", "nearest"), [("gpt-4oo", "gpt-4o"), ("autoo", "auto")])
def test_an_unknown_model_is_a_404_with_the_nearest_name(client: httpx.Client, name: str, nearest: str):
    message = envelope(client.get(f"/v1/models/{name}"), 404, "model_not_found", "model")
    assert f"did you mean {nearest!r}?" in message


def test_a_known_model_without_its_provider_says_what_it_needs(stage: Stage, on_stage: httpx.Client):
    message = envelope(on_stage.get("/v1/models/openai/gpt-4o"), 404, "model_not_found", "model")
    assert "set OPENAI_API_KEY" in message


def test_a_test_key_sees_what_is_simulated_and_nothing_else(stage: Stage, on_stage: httpx.Client):
    rows = listed(on_stage, Authorization=f"Bearer {stage.gateway.test_key}")
    owners = {row["owned_by"] for name, row in rows.items() if name not in VIRTUAL}
    assert owners == {"simulated"}
    assert "scripted/m" in listed(on_stage)


def test_the_official_clients_headers_work_as_well(gateway: LiveGateway):
    headers = {"X-API-KEY": gateway.api_key}
    assert httpx.get(f"{gateway.url}/v1/models", headers=headers, trust_env=False).status_code == 200
