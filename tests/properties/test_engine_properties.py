"""What holds for every body: the standard parser agrees, tenants stay apart, only RejectedBody is raised."""

import json
import math
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from neuralrouting import Engine, estimate_tokens
from neuralrouting.engine import RejectedBody

ENGINE = Engine()
MESSAGES = [{"role": "user", "content": "Hi"}]
OURS = {"model", "routing_mode", "session_id", "feature", "stream", "stream_options"}

text = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8).map("x-".__add__)
leaves = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)
extras = st.dictionaries(names, values, max_size=6)
tenants = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def encoded(extra: dict[str, Any], *, ensure_ascii: bool = True, indent: int | None = None) -> bytes:
    body = {"messages": MESSAGES, **extra}
    return json.dumps(body, ensure_ascii=ensure_ascii, indent=indent).encode()


def accepted(raw: bytes) -> bool:
    """Read by us? Anything but RejectedBody is a failure of the test."""
    try:
        ENGINE.inspect(raw, "tenant")
    except RejectedBody as error:
        status, code, message, param = error.args
        assert (status, code == "invalid_field", param is not None) in {(400, False, False), (422, True, True)}
        assert isinstance(message, str)
        return False
    return True


class NotOurs(ValueError):
    """JSON to the standard parser, but beyond what we take."""


def no_constant(name: str) -> None:
    raise NotOurs(name)


def finite(literal: str) -> float:
    if not math.isfinite(float(literal)) or len(literal) > 32:
        raise NotOurs(literal)
    return float(literal)


def short(literal: str) -> int:
    if len(literal) > 32:
        raise NotOurs(literal)
    return int(literal)


def no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs) or any("\0" in name for name, _ in pairs):
        raise NotOurs("key")
    return dict(pairs)


def oracle_accepts(raw: bytes) -> bool:
    try:
        value = json.loads(
            raw.decode(),
            parse_constant=no_constant,
            parse_float=finite,
            parse_int=short,
            object_pairs_hook=no_pair_twice,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


@given(extras)
def test_every_finite_json_document_is_taken(extra: dict[str, Any]) -> None:
    assert accepted(encoded(extra))
    assert accepted(encoded(extra, ensure_ascii=False, indent=1))


@given(extras, st.data())
def test_a_damaged_document_is_judged_as_the_standard_parser_judges_it(
    extra: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(encoded({}))
    # The damage stands in an unknown member, so that only its being JSON decides.
    member = bytearray(json.dumps(extra).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(member) - 1))
        member[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(SHRAPNEL) | st.binary(max_size=2))
        if not member:
            member += b"0"
    whole = bytes(raw[:-1] + b',"damaged":' + member + b"}")
    expected = oracle_accepts(whole) and json.loads(whole)["messages"] == MESSAGES
    assert accepted(whole) == expected


SHRAPNEL = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud83d", b"\\ude00", b"1e999", b"-", b"0", b"."]
SHRAPNEL += [b"NaN", b"Infinity", b"null", b"true", b"\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b" ", b"//"]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_the_refusal(raw: bytes) -> None:
    assert not accepted(raw)


@given(st.dictionaries(st.sampled_from(["model", "stream", "n", "stop", "tools", "user", "metadata"]) | names, values))
def test_arbitrary_fields_raise_nothing_but_the_refusal(extra: dict[str, Any]) -> None:
    accepted(encoded(extra))


@given(values)
def test_arbitrary_messages_raise_nothing_but_the_refusal(messages: object) -> None:
    accepted(encoded({"messages": messages}))


@given(extras, tenants, tenants)
def test_two_tenants_never_share_an_answer(extra: dict[str, Any], one: str, other: str) -> None:
    raw = encoded(extra)
    same = ENGINE.inspect(raw, one).key == ENGINE.inspect(raw, other).key
    assert same == (one == other)


@given(extras, st.randoms())
def test_order_and_white_space_do_not_change_the_key(extra: dict[str, Any], random: Random) -> None:
    names = list(extra)
    random.shuffle(names)
    shuffled = encoded({name: extra[name] for name in names}, indent=3, ensure_ascii=False)
    assert ENGINE.inspect(encoded(extra), "tenant").key == ENGINE.inspect(shuffled, "tenant").key


@given(extra=extras, stream=st.booleans())
def test_a_provider_gets_every_member_that_is_not_ours(extra: dict[str, Any], *, stream: bool) -> None:
    raw = encoded({**extra, "stream": stream, "session_id": "s"})
    sent = json.loads(ENGINE.inspect(raw, "tenant").upstream_body('m"1', stream=stream))
    asked = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    expected = {name: value for name, value in json.loads(raw).items() if name not in OURS}
    assert sent == {"model": 'm"1', **expected, **asked}


@given(text)
def test_the_last_user_text_is_what_was_written(words: str) -> None:
    for how in (True, False):
        raw = json.dumps({"messages": [{"role": "user", "content": words}]}, ensure_ascii=how).encode()
        assert ENGINE.inspect(raw, "tenant").last_user_text == words
    assert 0 <= estimate_tokens(words) <= 2 * len(words)
