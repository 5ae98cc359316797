"""A question that was answered is answered again in other words: in every shape, for nothing, and only when told so."""

import httpx
import pytest
from conversation import ASK_USAGE, CHAT, DISPATCH, DISPATCH_STREAM, Json, chunks, envelope, row_of, said
from questions import CANONICAL, IN_OTHER_WORDS, PIANO, QUESTION, STAIN, VIOLIN, Place, new_place, parts
from staging import Stage
from tenants import new_tenant

from cache_told import cache_told
from fake_faults import broken_stream
from fake_replies import USAGE, Answer
from fake_upstream import Entry, http_reply

LEVELS = {"canonical": (QUESTION, CANONICAL), "semantic": (STAIN, IN_OTHER_WORDS)}
SHAPES = {
    "chat": (CHAT, {}),
    "chat stream": (CHAT, {"stream": True}),
    "chat stream with usage": (CHAT, ASK_USAGE),
    "dispatch": (DISPATCH, {}),
    "dispatch stream": (DISPATCH_STREAM, {}),
}
EACH_LEVEL = pytest.mark.parametrize("level", LEVELS)
EACH_SHAPE = pytest.mark.parametrize(("path", "fields"), SHAPES.values(), ids=SHAPES)
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def told(place: Place, client: httpx.Client, text: str, headers: dict[str, str] | None = None, **more: object) -> str:
    """The level that answered."""
    response = place.ask(client, text, headers=headers, **more)
    assert response.status_code == 200, response.text
    return parts(response)["level"]


# --- hits -----------------------------------------------------------------------------------------------------------


@EACH_SHAPE
@EACH_LEVEL
def test_the_answer_is_given_again_in_every_shape_and_says_how_it_was_found(
    stage: Stage, on_stage: httpx.Client, level: str, path: str, fields: Json
):
    place, (asked, again) = new_place(stage), LEVELS[level]
    first = place.ask(on_stage, asked, CHAT)
    response = place.ask(on_stage, again, path, **fields)
    assert said(response) == said(first) == f"answer to {place.name}"
    assert len(place.calls) == 1
    how = parts(response)
    assert (how["level"], how.get("kind")) == ("semantic", "canonical" if level == "canonical" else None)
    assert how.keys() - {"kind"} == {"level", "similarity", "age", "entry"}
    assert 0.92 <= float(how["similarity"]) <= 1.0
    assert 0 <= int(how["age"]) < 60
    assert len(bytes.fromhex(how["entry"])) == 32
    row = row_of(stage.gateway, response)
    assert (row.cache, row.attempts, row.cost_nanousd, row.charged_mc, row.held_mc) == (level, "[]", 0, 0, 0)
    assert (row.status, row.model, row.prompt_tokens, row.completion_tokens) == (200, "m", *USAGE)


@EACH_LEVEL
def test_the_body_says_a_hit_that_is_not_exact_with_an_id_of_its_own(stage: Stage, on_stage: httpx.Client, level: str):
    place, (asked, again) = new_place(stage), LEVELS[level]
    first, response = place.ask(on_stage, asked).json(), place.ask(on_stage, again)
    hit = response.json()
    assert (hit["cache_hit"], hit["cache_exact"]) == (True, False)
    assert hit["cache_similarity"] == float(parts(response)["similarity"])
    assert (hit["cache_similarity"] == 1.0) == (level == "canonical")
    assert hit["business_metrics"]["cost_usd"] == 0.0
    assert hit["business_metrics"]["savings_percentage"] == 100.0
    assert response.headers["x-nr-cost-usd"] == "0.000000000"
    assert hit["choices"] == first["choices"]
    assert hit["usage"] == first["usage"]
    assert hit["id"] == f"chatcmpl-{response.headers['x-request-id']}"
    assert hit["id"] != first["id"]


@EACH_LEVEL
def test_a_stream_from_the_cache_is_whole_valid_and_tells_the_hit_at_its_end(
    stage: Stage, on_stage: httpx.Client, level: str
):
    place, (asked, again) = new_place(stage), LEVELS[level]
    place.ask(on_stage, asked, stream=True)
    response = place.ask(on_stage, again, **ASK_USAGE)
    found = chunks(response)
    assert {chunk["id"] for chunk in found} == {f"chatcmpl-{response.headers['x-request-id']}"}
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in found)
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    last = found[-1]
    assert (last["choices"], last["cache_hit"], last["cache_exact"]) == ([], True, False)
    assert (last["cache_similarity"] == 1.0) == (level == "canonical")


@EACH_LEVEL
def test_the_billing_of_a_dispatch_stream_says_the_hit_and_charges_nothing(
    stage: Stage, on_stage: httpx.Client, level: str
):
    place, (asked, again) = new_place(stage), LEVELS[level]
    place.ask(on_stage, asked)
    response = place.ask(on_stage, again, DISPATCH_STREAM)
    [billing] = [chunk for chunk in chunks(response) if chunk["object"] == "nr.billing"]
    assert (billing["cache_hit"], billing["cache_exact"]) == (True, False)
    assert (billing["cache_similarity"] == 1.0) == (level == "canonical")
    assert billing["financials"]["billed_price"] == 0.0


def test_what_such_hits_save_is_told_apart_in_the_usage_and_takes_no_credits(stage: Stage):
    tenant, place = new_tenant(stage.gateway, "saver"), new_place(stage)
    with tenant.client("member") as client:
        for text in (QUESTION, CANONICAL, STAIN, IN_OTHER_WORDS, QUESTION):
            row_of(stage.gateway, place.ask(client, text))
    sums = tenant.get("/v1/usage").json()["totals"]["real"]
    assert (sums["requests"], sums["exact_hits"], sums["semantic_hits"]) == (5, 1, 2)
    one_hit_nanousd = 97_500
    assert sums["saved_exact_cache_nanousd"] == one_hit_nanousd
    assert sums["saved_semantic_cache_nanousd"] == 2 * one_hit_nanousd


def test_a_repeat_is_still_exact_and_an_answer_given_again_is_not_stored_again(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage)
    first = parts(place.ask(on_stage, QUESTION))
    assert first["level"] == "miss"
    canonical, exact = parts(place.ask(on_stage, CANONICAL)), parts(place.ask(on_stage, QUESTION))
    assert (canonical["level"], exact["level"]) == ("semantic", "exact")
    assert exact["entry"] == canonical["entry"] == parts(place.ask(on_stage, CANONICAL))["entry"]


def test_what_asks_something_else_asks_the_model_and_the_header_says_what_spoke_against_it(
    stage: Stage, on_stage: httpx.Client
):
    place = new_place(stage)
    assert told(place, on_stage, PIANO) == "miss"
    assert said(place.ask(on_stage, VIOLIN)) == f"answer to {place.name}"
    assert len(place.calls) == 2
    miles, km = "Convert 5 miles to km please", "Convert 5 km to miles please"
    assert parts(place.ask(on_stage, miles)) == {"level": "miss"}
    refused = parts(place.ask(on_stage, km))
    assert (refused["level"], refused.keys()) == ("miss", {"level", "reason"})


def test_other_parameters_another_system_prompt_and_another_model_are_never_compared(
    stage: Stage, on_stage: httpx.Client
):
    place = new_place(stage)
    assert told(place, on_stage, QUESTION) == "miss"
    for fields in ({"max_tokens": 50}, {"stop": "x"}, {"temperature": 0.1}, {"model": "free-of-price"}):
        assert told(place, on_stage, CANONICAL, **fields) == "miss", fields
    assert told(new_place(stage), on_stage, CANONICAL) == "miss"
    assert told(place, on_stage, CANONICAL) == "semantic"


# --- which requests take no part ------------------------------------------------------------------------------------

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
UNFIT: dict[str, Json] = {
    "tools": {"tools": [TOOL]},
    "schema": {"response_format": SCHEMA},
    "temperature": {"temperature": 0.31},
    "choices": {"n": 2},
    "seed": {"seed": 7},
}
UNFIT_TEXTS = {"short": ("Boiling point?", "boiling POINT"), "time": (f"{QUESTION} Today?", f"{CANONICAL} today")}


@pytest.mark.parametrize(("reason", "fields"), UNFIT.items(), ids=UNFIT)
def test_a_request_that_takes_no_part_is_answered_by_the_model_and_told_why(
    stage: Stage, on_stage: httpx.Client, reason: str, fields: Json
):
    place = new_place(stage)
    place.ask(on_stage, QUESTION)  # whose answer would do
    for text in (QUESTION, CANONICAL):
        assert parts(place.ask(on_stage, text, **fields)) == {"level": "miss", "reason": reason}
    assert len(place.calls) == 3
    assert told(place, on_stage, CANONICAL, **fields) == "exact"


def test_who_asks_how_sure_the_model_is_takes_no_part(stage: Stage):
    place, headers = new_place(stage), {"Authorization": f"Bearer {stage.gateway.test_key}"}
    with stage.gateway.client(**headers) as client:  # of the models here only simulated ones can tell
        for text in (QUESTION, CANONICAL):
            response = place.ask(client, text, model="gpt-4o", logprobs=True)
            assert parts(response) == {"level": "miss", "reason": "logprobs"}


@pytest.mark.parametrize("temperature", [0, 0.3])
def test_a_temperature_up_to_three_tenths_takes_part(stage: Stage, on_stage: httpx.Client, temperature: float):
    place = new_place(stage)
    assert [told(place, on_stage, text, temperature=temperature) for text in (QUESTION, CANONICAL)] == [
        "miss", "semantic",
    ]  # fmt: skip


@pytest.mark.parametrize(("reason", "texts"), UNFIT_TEXTS.items(), ids=UNFIT_TEXTS)
def test_a_text_that_cannot_be_compared_takes_no_part(
    stage: Stage, on_stage: httpx.Client, reason: str, texts: tuple[str, str]
):
    place = new_place(stage)
    for text in texts:
        assert parts(place.ask(on_stage, text)) == {"level": "miss", "reason": reason}


def test_a_conversation_takes_no_part(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage)
    for text in (QUESTION, CANONICAL):
        body = place.body(text)
        earlier = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good day."}]
        body["messages"][1:1] = earlier
        assert parts(on_stage.post(CHAT, json=body)) == {"level": "miss", "reason": "turns"}


def test_a_question_about_a_picture_takes_no_part(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage)
    for text in (QUESTION, CANONICAL):
        content = [{"type": "text", "text": text}, PICTURE]
        assert parts(place.ask(on_stage, content)) == {"level": "miss", "reason": "media"}


# --- what the client asks for ---------------------------------------------------------------------------------------


def test_a_client_may_ask_for_more_likeness(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage)
    place.ask(on_stage, STAIN)
    similarity = parts(place.ask(on_stage, IN_OTHER_WORDS))["similarity"]
    assert 0.95 < float(similarity) < 0.9999
    for least in (similarity, "0.92", "0"):
        assert told(place, on_stage, IN_OTHER_WORDS, {"X-NR-Similarity": least}) == "semantic"
    assert told(place, on_stage, IN_OTHER_WORDS, {"X-NR-Similarity": "0.9999"}) == "miss"
    assert len(place.calls) == 2


def test_the_same_words_are_alike_enough_for_everybody(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage)
    levels = [told(place, on_stage, text, {"X-NR-Similarity": "1.0"}) for text in (QUESTION, CANONICAL, QUESTION)]
    assert levels == ["miss", "semantic", "exact"]


@pytest.mark.parametrize("value", ["1.1", "-0.1", "high", "0,97", "nan", "1e-1", ".9", "0.9;q=1"])
def test_a_likeness_that_is_no_number_from_0_to_1_is_refused(stage: Stage, on_stage: httpx.Client, value: str):
    response = new_place(stage).ask(on_stage, QUESTION, headers={"X-NR-Similarity": value})
    envelope(response, 422, "invalid_field", "x-nr-similarity")


def test_no_cache_asks_the_model_and_its_answer_is_given_from_then_on(stage: Stage, on_stage: httpx.Client):
    place = new_place(stage, Answer("the old answer"))
    place.ask(on_stage, QUESTION)
    stage.lines[place.name] = Answer("the new answer")
    fresh = place.ask(on_stage, CANONICAL, headers={"Cache-Control": "no-cache"})
    assert (cache_told(fresh), said(fresh)) == ("bypass", "the new answer")
    third = CANONICAL.upper()
    assert (told(place, on_stage, third), said(place.ask(on_stage, third))) == ("semantic", "the new answer")


def test_no_store_neither_reads_nor_leaves_an_answer(stage: Stage, on_stage: httpx.Client):
    place, private = new_place(stage), {"Cache-Control": "no-store"}
    assert told(place, on_stage, QUESTION, private) == "bypass"
    assert told(place, on_stage, CANONICAL) == "miss"
    assert told(place, on_stage, QUESTION, private) == "bypass"
    assert len(place.calls) == 3


# --- what is never stored -------------------------------------------------------------------------------------------

REFUSAL = Answer("I cannot help.").completion()
REFUSAL["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot help."}
NEVER: dict[str, tuple[Entry, Json]] = {
    "tool calls": (Answer(calls=(("look", "{}"),), finish="tool_calls"), {}),
    "tool calls in a stream": (Answer(calls=(("look", "{}"),), finish="tool_calls"), {"stream": True}),
    "cut by length": (Answer("It was a dark and", finish="length"), {}),
    "cut in a stream": (Answer("It was a dark and", finish="length"), {"stream": True}),
    "filtered": (Answer("It was", finish="content_filter"), {}),
    "refusal": (http_reply(200, REFUSAL), {}),
    "broken stream": (broken_stream(), {"stream": True}),
    "error": (http_reply(400, {"error": {"message": "no", "type": "x", "param": None, "code": "y"}}), {}),
}


@pytest.mark.parametrize(("entry", "fields"), NEVER.values(), ids=NEVER)
def test_what_is_no_whole_answer_is_never_given_to_another_question(
    stage: Stage, on_stage: httpx.Client, entry: Entry, fields: Json
):
    place = new_place(stage, entry)
    place.ask(on_stage, QUESTION, **fields)
    stage.lines[place.name] = Answer("It boils at 357 degrees.")
    response = place.ask(on_stage, CANONICAL)
    assert (cache_told(response), said(response)) == ("miss", "It boils at 357 degrees.")
    assert len(place.calls) == 2
