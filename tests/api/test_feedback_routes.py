"""Feedback over HTTP: about an answered request of one's own account, replaced when given again, shown in its audit."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conversation import CHAT, ask, new_prompt
from tenants import Tenant, new_tenant

from live_gateway import LiveGateway, running_gateway
from settling import request_row

FEEDBACK = "/v1/feedback"


@pytest.fixture(scope="module")
def ours(gateway: LiveGateway) -> Tenant:
    tenant = new_tenant(gateway, "heard")
    tenant.settle(
        request_row(f"req_{tenant.account}", task="qa"),
        request_row(f"req_cached_{tenant.account}", cache="exact", task=None),
        request_row(f"req_failed_{tenant.account}", status=502, deployment=None, model=None, provider=None),
        request_row(f"req_made_up_{tenant.account}", task="qa", simulated=True, deployment="simulated/gpt-4o"),
    )
    return tenant


def _give(tenant: Tenant, request_id: str, **body: object) -> httpx.Response:
    with tenant.client("member") as client:
        return client.post(FEEDBACK, json={"request_id": request_id, **body})


def _shown(tenant: Tenant, request_id: str) -> list[dict[str, object]]:
    return tenant.get(f"/v1/audit/{request_id}").json()["feedback"]


def test_a_thumb_or_a_score_is_taken_and_shown_with_the_request(ours: Tenant):
    request_id = f"req_{ours.account}"
    first = _give(ours, request_id, thumbs="down", comment="It missed the point.")
    assert first.status_code == 201
    told = first.json()
    assert (told["score"], told["task"], told["deployment"], told["counts"]) == (-1.0, "qa", "openai/gpt-4o-mini", True)
    [shown] = _shown(ours, request_id)
    assert (shown["source"], shown["score"], shown["comment"]) == ("user", -1.0, "It missed the point.")
    assert _give(ours, request_id, score=0.5).status_code == 201
    [shown] = _shown(ours, request_id)
    assert (shown["score"], shown["comment"]) == (0.5, None), "given again it replaces"


@pytest.mark.parametrize("kind", ["cached", "made_up"])
def test_what_cannot_teach_of_a_model_is_kept_and_counts_for_nothing(ours: Tenant, kind: str):
    told = _give(ours, f"req_{kind}_{ours.account}", thumbs="up").json()
    assert (told["score"], told["task"], told["counts"]) == (1.0, None, False)
    assert len(_shown(ours, f"req_{kind}_{ours.account}")) == 1


def test_only_an_answered_request_of_ones_own_is_spoken_of(ours: Tenant, gateway: LiveGateway):
    theirs = new_tenant(gateway, "other")
    theirs.settle(request_row(f"req_{theirs.account}"))
    ids = (f"req_failed_{ours.account}", f"req_{theirs.account}", "req_nobodys", "req_\0")
    answers = [_give(ours, request_id, thumbs="up") for request_id in ids]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["error"]["code"] for answer in answers} == {"not_found"}
    assert answers[1].text.replace(ids[1], "ID") == answers[2].text.replace(ids[2], "ID")
    assert _shown(theirs, f"req_{theirs.account}") == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "score"),
        ({"score": 1, "thumbs": "up"}, "score"),
        ({"score": 1.5}, "score"),
        ({"score": "good"}, "score"),
        ({"thumbs": "sideways"}, "thumbs"),
        ({"thumbs": "up", "comment": "x" * 2_001}, "comment"),
        ({"thumbs": "up", "comment": "a\0b"}, "comment"),
        ({"thumbs": "up", "stars": 5}, "stars"),
    ],
)
def test_feedback_that_cannot_be_read_names_the_field(ours: Tenant, body: dict[str, object], param: str):
    response = _give(ours, f"req_{ours.account}", **body)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == param


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    folder: Path = tmp_path_factory.mktemp("plain")
    with running_gateway(folder, config='local: {enabled: "off"}\ncache: {enabled: false}') as running:
        yield running


def test_feedback_may_come_right_behind_the_answer(plain: LiveGateway):
    with plain.client() as client:
        for _ in range(3):
            answer = client.post(CHAT, json=ask(new_prompt()))
            request_id = answer.json()["request_id"]
            assert client.post(FEEDBACK, json={"request_id": request_id, "thumbs": "up"}).status_code == 201


def test_a_question_that_is_asked_again_at_once_is_noted(plain: LiveGateway):
    with plain.client() as client:
        first = client.post(CHAT, json=ask("How far away is the moon from the earth?") | {"user": "anna"}).json()
        client.post(CHAT, json=ask("how far away is the moon from the earth") | {"user": "anna"})
        plain.rows()  # waits for the writer
        told = client.get(f"/v1/audit/{first['request_id']}").json()["feedback"]
    assert [(one["source"], one["score"]) for one in told] == [("reask", -1.0)]
