"""Passwords: right or wrong, made anew when costs change, bounded, and never shown."""

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.accounts.passwords import PARALLEL, WAITING, Checked, Passwords, check_password
from neuralrouting.errors import InvalidField, Unavailable

pytestmark = pytest.mark.anyio
GOOD = "correct horse battery"
CHEAP = PasswordHasher(1, 64, 1)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_a_password_is_right_and_no_other(passwords: Passwords):
    stored = await passwords.hash(GOOD)
    assert await passwords.check(stored, GOOD) == Checked(right=True)
    for wrong in ("", GOOD + " ", GOOD.upper(), GOOD[:-1], "x" * 100_000):
        assert not (await passwords.check(stored, wrong)).right


async def test_two_hashes_of_one_password_differ_and_are_argon2id(passwords: Passwords):
    one, two = await passwords.hash(GOOD), await passwords.hash(GOOD)
    assert one != two
    assert one.startswith("$argon2id$v=19$")
    assert GOOD not in one


async def test_what_a_hash_costs_is_what_owasp_says():
    made = Passwords()
    try:
        assert (await made.hash(GOOD)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert made._nobodys.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    finally:
        made.close()


@pytest.mark.parametrize("password", ["", GOOD, "\0"])
async def test_where_there_is_no_hash_every_password_is_wrong(passwords: Passwords, password: str):
    assert await passwords.check(None, password) == Checked(right=False)
    assert len(passwords._nobodys) == len(await passwords.hash(GOOD))


@pytest.mark.parametrize("stored", ["plain", "$argon2id$v=19$m=64,t=1,p=1$$", "$2b$12$x", "$argon2id$"])
async def test_a_hash_that_is_none_lets_nobody_in(passwords: Passwords, stored: str):
    assert not (await passwords.check(stored, "plain")).right


async def test_a_hash_of_other_costs_is_right_and_made_anew(passwords: Passwords):
    dearer = PasswordHasher(2, 128, 1)
    found = await passwords.check(dearer.hash(GOOD), GOOD)
    assert found.right
    assert found.rehashed is not None
    assert await passwords.check(found.rehashed, GOOD) == Checked(right=True)
    assert not (await passwords.check(dearer.hash(GOOD), "wrong")).right
    assert found.rehashed not in repr(found)


async def test_one_text_in_two_spellings_is_one_password(passwords: Passwords):
    stored = await passwords.hash("Zo\u00eb's long password")
    assert (await passwords.check(stored, "Zoe\u0308's long password")).right


async def test_a_crowd_is_refused_and_who_waits_is_served(passwords: Passwords):
    asked = [passwords.check(None, GOOD) for _ in range(PARALLEL + WAITING + 5)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, Checked) for one in done) == PARALLEL + WAITING
    assert sum(isinstance(one, Unavailable) for one in done) == 5
    assert not (await passwords.check(None, GOOD)).right


@given(st.text(max_size=2_000))
def test_a_password_has_twelve_to_1024_characters(password: str):
    if 12 <= len(password) <= 1024:
        check_password(password)
    else:
        with pytest.raises(InvalidField):
            check_password(password)
