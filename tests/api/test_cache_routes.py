"""`/v1/cache`: what is stored is counted, purged and judged, by its own account and at once."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conversation import Json, envelope, said, wait_until
from questions import CANONICAL, IN_OTHER_WORDS, PIANO, PIANO_AGAIN, QUESTION, STAIN, Place, new_place, parts
from staging import Stage
from tenants import Tenant, new_tenant

from cache_told import cache_told
from fake_replies import Answer
from fake_upstream import Recorded, Reply
from neuralrouting.intervals import wilson

NOWHERE = "0" * 64
WRITTEN_S = 3.0
"""Answers are written behind the request; counts and judgements are of what is written."""


@pytest.fixture
def tenant(stage: Stage) -> Tenant:
    return new_tenant(stage.gateway, "stored")


def stored_for(tenant: Tenant) -> Json:
    response = tenant.get("/v1/cache")
    assert response.status_code == 200, response.text
    return response.json()


def ask(tenant: Tenant, place: Place, text: str = QUESTION, **fields: object) -> httpx.Response:
    with tenant.client("member") as client:
        response = place.ask(client, text, **fields)
    assert response.status_code == 200, response.text
    return response


def outcome(tenant: Tenant, place: Place, text: str = QUESTION) -> str:
    return cache_told(ask(tenant, place, text))


def filled(tenant: Tenant, *places: Place) -> None:
    """Have each place answer the question once, and wait until that is written down."""
    before = stored_for(tenant)["entries"]
    assert [outcome(tenant, place) for place in places] == ["miss"] * len(places)
    wait_until(lambda: stored_for(tenant)["entries"] == before + len(places), WRITTEN_S)


def entry_of(tenant: Tenant, place: Place, text: str = QUESTION) -> str:
    return parts(ask(tenant, place, text))["entry"]


def purged(tenant: Tenant, **params: str) -> int:
    with tenant.client() as client:
        response = client.delete("/v1/cache", params=params)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"object", "account", "purged"}
    assert response.json()["account"] == tenant.account
    return response.json()["purged"]


def judged(tenant: Tenant, **judgement: object) -> httpx.Response:
    with tenant.client() as client:
        return client.post("/v1/cache/judgements", json=judgement)


# --- what is stored -------------------------------------------------------------------------------------------------


def test_an_account_without_answers_is_told_zeros_and_no_rate(tenant: Tenant):
    none = {"judged": 0, "wrong": 0, "rate": None, "interval": [0.0, 1.0]}
    assert stored_for(tenant) == {
        "object": "cache", "account": tenant.account, "entries": 0, "bytes": 0, "semantic_entries": 0, "scopes": 0,
        "oldest_ms": None, "newest_ms": None, "deployments": [], "wrong_hits": {**none, "by_kind": {}},
    }  # fmt: skip


def test_answers_are_counted_by_level_scope_and_deployment(stage: Stage, tenant: Tenant):
    one, other = new_place(stage), new_place(stage)
    filled(tenant, one, other)
    ask(tenant, one, PIANO)
    ask(tenant, one, PIANO, temperature=1)  # of no use to other questions
    wait_until(lambda: stored_for(tenant)["entries"] == 4, WRITTEN_S)
    told = stored_for(tenant)
    assert (told["semantic_entries"], told["scopes"]) == (3, 2)
    [deployment] = told["deployments"]
    assert deployment == {"deployment": "scripted/m", "entries": 4, "bytes": told["bytes"]}
    assert told["oldest_ms"] <= told["newest_ms"]


# --- purging --------------------------------------------------------------------------------------------------------


def test_one_answer_goes_and_is_a_miss_at_once(stage: Stage, tenant: Tenant):
    one, other = new_place(stage), new_place(stage)
    filled(tenant, one, other)
    assert purged(tenant, entry=entry_of(tenant, one)) == 1
    assert [outcome(tenant, one, CANONICAL), outcome(tenant, other, CANONICAL)] == ["miss", "semantic"]
    assert len(one.calls) == 2


def test_a_hit_that_names_its_entry_is_purged_by_that_name_whichever_level_found_it(stage: Stage, tenant: Tenant):
    place = new_place(stage)
    filled(tenant, place)
    entry = entry_of(tenant, place, CANONICAL)
    assert entry == entry_of(tenant, place)
    assert purged(tenant, entry=entry) == 1
    assert outcome(tenant, place) == "miss"


def test_everything_goes_and_only_of_this_account(stage: Stage, tenant: Tenant):
    place, other = new_place(stage), new_tenant(stage.gateway, "other")
    filled(tenant, place)
    filled(other, place)
    assert purged(tenant, all="true") == 1
    assert stored_for(tenant)["entries"] == 0
    assert [outcome(tenant, place), outcome(other, place)] == ["miss", "exact"]


def test_answers_that_say_something_go_in_capitals_or_not(stage: Stage, tenant: Tenant):
    hours, other = new_place(stage, Answer("Our OPENING Hours are nine to five.")), new_place(stage)
    filled(tenant, hours, other)
    assert purged(tenant, pattern="opening hours") == 1
    assert [outcome(tenant, hours), outcome(tenant, other)] == ["miss", "exact"]
    assert purged(tenant, pattern="chat.completion") == 0, "their text is meant, not their JSON"


def test_all_that_is_named_must_match(stage: Stage, tenant: Tenant):
    place = new_place(stage)
    filled(tenant, place)
    entry = entry_of(tenant, place)
    assert purged(tenant, entry=entry, pattern="no such words") == 0
    assert purged(tenant, entry=NOWHERE) == 0
    assert purged(tenant, scope=NOWHERE) == 0
    assert outcome(tenant, place) == "exact"
    assert purged(tenant, entry=entry.upper(), pattern="answer to") == 1
    assert outcome(tenant, place) == "miss"


def test_an_answer_that_is_in_the_making_when_all_goes_is_given_and_not_kept(stage: Stage, tenant: Tenant):
    def slowly(request: Recorded) -> Reply:
        return Reply((1.0, *Answer("an answer of before")(request).steps))

    place = new_place(stage, slowly)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, tenant, place)
        wait_until(lambda: bool(place.calls), WRITTEN_S)
        assert purged(tenant, all="true") == 0
        assert said(asking.result()) == "an answer of before"
    stage.lines[place.name] = Answer("an answer of now")
    assert [said(ask(tenant, place, text)) for text in (CANONICAL, QUESTION)] == ["an answer of now"] * 2


def test_a_scope_goes_and_the_others_stay(stage: Stage, tenant: Tenant):
    here, there = tenant.stored(), new_place(stage)
    filled(tenant, there)
    assert here
    assert purged(tenant, scope=bytes(32).hex()) == 1
    assert stored_for(tenant)["entries"] == 1
    assert outcome(tenant, there) == "exact"


def test_what_another_account_has_stored_is_not_purged_by_its_entry(stage: Stage, tenant: Tenant):
    place, thief = new_place(stage), new_tenant(stage.gateway, "thief")
    filled(tenant, place)
    assert purged(thief, entry=entry_of(tenant, place)) == 0
    assert outcome(tenant, place) == "exact"


@pytest.mark.parametrize(
    ("params", "param", "said_of_it"),
    [
        ({}, "all", "say what is to go"),
        ({"all": "false"}, "all", "say what is to go"),
        ({"all": "true", "entry": NOWHERE}, "all", "say what is to go"),
        ({"all": "true", "pattern": "x"}, "all", "say what is to go"),
        ({"all": "yes"}, "all", "true or false"),
        ({"entry": "abc"}, "entry", "64 hexadecimal digits"),
        ({"entry": "z" * 64}, "entry", "64 hexadecimal digits"),
        ({"entry": ""}, "entry", "64 hexadecimal digits"),
        ({"entry": NOWHERE + "00"}, "entry", "64 hexadecimal digits"),
        ({"scope": "00"}, "scope", "64 hexadecimal digits"),
        ({"pattern": ""}, "pattern", "1 to 500 characters"),
        ({"pattern": "x" * 501}, "pattern", "1 to 500 characters"),
        ({"pattern": "a\0b"}, "pattern", "NUL"),
        ({"entries": NOWHERE}, "entries", "unknown parameter"),
        ({"key": NOWHERE, "all": "true"}, "key", "unknown parameter"),
    ],
)
def test_a_purge_that_names_nothing_well_is_refused_and_purges_nothing(
    stage: Stage, tenant: Tenant, params: dict[str, str], param: str, said_of_it: str
):
    place = new_place(stage)
    filled(tenant, place)
    with tenant.client() as client:
        assert said_of_it in envelope(client.delete("/v1/cache", params=params), 422, "invalid_field", param)
    assert outcome(tenant, place) == "exact"


def test_a_parameter_that_is_told_twice_is_refused(tenant: Tenant):
    with tenant.client() as client:
        response = client.delete("/v1/cache", params=[("entry", NOWHERE), ("entry", "1" * 64)])
    assert "told twice" in envelope(response, 422, "invalid_field", "entry")


# --- judging --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "text"), [("canonical", CANONICAL), ("exact", QUESTION)])
def test_a_hit_that_was_wrong_is_given_no_more_and_counted(stage: Stage, tenant: Tenant, kind: str, text: str):
    place = new_place(stage, Answer("It boils at minus twelve degrees."))
    filled(tenant, place)
    response = judged(tenant, entry=entry_of(tenant, place, text), agreed=False, kind=kind)
    assert (response.status_code, response.json()) == (
        201, {"object": "cache.judgement", "account": tenant.account, "retired": True},
    )  # fmt: skip
    stage.lines[place.name] = Answer("It boils at 357 degrees.")
    again = ask(tenant, place, text)
    assert (cache_told(again), said(again)) == ("miss", "It boils at 357 degrees.")
    rate = {"judged": 1, "wrong": 1, "rate": 1.0, "interval": [round(bound, 6) for bound in wilson(1, 1)]}
    assert stored_for(tenant)["wrong_hits"] == {**rate, "by_kind": {kind: rate}}
    assert ask(tenant, place, text).json()["choices"] == again.json()["choices"], "the new answer is served"


def test_a_hit_that_was_right_stays_and_lowers_the_rate(stage: Stage, tenant: Tenant):
    place = new_place(stage)
    filled(tenant, place)
    entry = entry_of(tenant, place, CANONICAL)
    for kind, agreed in (("canonical", True), ("exact", True), ("exact", True), ("canonical", False)):
        assert judged(tenant, entry=entry, agreed=agreed, kind=kind).json()["retired"] is not agreed
        assert outcome(tenant, place, CANONICAL) == ("semantic" if agreed else "miss")
    told = stored_for(tenant)["wrong_hits"]
    assert (told["judged"], told["wrong"], told["rate"]) == (4, 1, 0.25)
    assert told["interval"] == [round(bound, 6) for bound in wilson(1, 4)]
    assert {kind: (one["judged"], one["wrong"]) for kind, one in told["by_kind"].items()} == {
        "canonical": (2, 1), "exact": (2, 0),
    }  # fmt: skip


def test_after_a_semantic_hit_that_was_wrong_its_scope_asks_for_more_likeness(stage: Stage, tenant: Tenant):
    place = new_place(stage)
    assert outcome(tenant, place, STAIN) == "miss"
    wait_until(lambda: stored_for(tenant)["entries"] == 1, WRITTEN_S)
    hit = parts(ask(tenant, place, IN_OTHER_WORDS))
    assert (hit["level"], "kind" in hit) == ("semantic", False)
    judged(tenant, entry=hit["entry"], agreed=False, kind="semantic", similarity=float(hit["similarity"]))
    assert outcome(tenant, place, STAIN) == "miss"
    assert outcome(tenant, place, IN_OTHER_WORDS) == "miss", "as alike as before is no longer enough here"
    assert [outcome(tenant, place, text) for text in (PIANO, PIANO_AGAIN)] == ["miss", "semantic"]
    elsewhere = new_place(stage)
    assert [outcome(tenant, elsewhere, text) for text in (STAIN, IN_OTHER_WORDS)] == ["miss", "semantic"]


def test_without_a_similarity_a_wrong_answer_goes_and_its_scope_stays_as_it_is(stage: Stage, tenant: Tenant):
    place = new_place(stage)
    filled(tenant, place)
    assert judged(tenant, entry=entry_of(tenant, place, CANONICAL), agreed=False).status_code == 201
    assert [outcome(tenant, place, text) for text in (QUESTION, CANONICAL)] == ["miss", "semantic"]
    assert [outcome(tenant, place, text) for text in (STAIN, IN_OTHER_WORDS)] == ["miss", "semantic"]


def test_another_accounts_answer_is_judged_like_one_that_nobody_has(stage: Stage, tenant: Tenant):
    place, rival = new_place(stage), new_tenant(stage.gateway, "rival")
    filled(tenant, place)
    entry = entry_of(tenant, place)
    told = [judged(rival, entry=name, agreed=False) for name in (entry, NOWHERE)]
    messages = [envelope(response, 404, "not_found", "entry") for response in told]
    assert messages[0] == messages[1]
    assert outcome(tenant, place) == "exact"
    assert stored_for(tenant)["wrong_hits"]["judged"] == stored_for(rival)["wrong_hits"]["judged"] == 0


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"entry": "abc"}, "entry"),
        ({"entry": "Z" * 64}, "entry"),
        ({"entry": 7}, "entry"),
        ({"agreed": "no"}, "agreed"),
        ({"agreed": None}, "agreed"),
        ({"kind": "fuzzy"}, "kind"),
        ({"similarity": 1.01}, "similarity"),
        ({"similarity": -0.5}, "similarity"),
        ({"similarity": "0.93"}, "similarity"),
        ({"source": "me"}, "source"),
    ],
)
def test_a_judgement_that_is_not_well_formed_is_refused_by_name(tenant: Tenant, change: Json, param: str):
    envelope(judged(tenant, **{"entry": NOWHERE, "agreed": False, **change}), 422, "invalid_field", param)


@pytest.mark.parametrize("missing", ["entry", "agreed"])
def test_a_judgement_needs_an_entry_and_a_verdict(tenant: Tenant, missing: str):
    body = {"entry": NOWHERE, "agreed": False}
    del body[missing]
    envelope(judged(tenant, **body), 422, "invalid_field", missing)


def test_a_judgement_that_is_not_json_is_refused(tenant: Tenant):
    with tenant.client() as client:
        envelope(client.post("/v1/cache/judgements", content=b"{"), 400, "malformed_json")
