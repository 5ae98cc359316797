"""User rows: one for an address, an owner in every account, and no session outlives what it was opened for."""

import asyncio

import pytest

from neuralrouting.errors import AlreadyExists, InvalidField
from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.sign_in import SignInRows
from neuralrouting.storage.trail import GATEWAY, Actor, Trail
from neuralrouting.storage.users import NewUser, UserRows, email_of
from people import IDLE_MS, new_user, session

pytestmark = pytest.mark.anyio


@pytest.fixture
def rows(database: Database) -> UserRows:
    return UserRows(database)


async def test_a_user_comes_back_as_it_was_made_without_its_hash(database: Database, rows: UserRows):
    assert not await rows.any()
    made = await new_user(database, "billing", password_hash="$argon2id$x")
    assert await rows.any()
    assert await rows.find(made.id) == await rows.of_email(made.email) == made
    assert (made.role, made.has_password, made.disabled_ms) == ("billing", True, None)
    assert "argon2id" not in repr(made)
    assert await rows.with_hash(made.email) == (made, "$argon2id$x")
    assert await rows.with_hash("nobody@example.com") is None


async def test_an_address_has_one_user_in_all_accounts(database: Database, rows: UserRows):
    made = await new_user(database)
    await new_user(database, account_id="other")
    with pytest.raises(AlreadyExists):
        await rows.add(NewUser("other", made.email, "owner"), 2_000, actor=GATEWAY)
    assert [user.id for user in await rows.all("acme")] == [made.id]
    assert len(await rows.all(None)) == 2


async def test_a_user_needs_an_account(rows: UserRows):
    with pytest.raises(RowError):
        await rows.add(NewUser("nowhere", "ann@example.com", "owner"), 1, actor=GATEWAY)


async def test_the_last_owner_stays_one(database: Database, rows: UserRows):
    owner, member = await new_user(database), await new_user(database, "member")
    await new_user(database, account_id="other")
    with pytest.raises(AlreadyExists, match="last owner"):
        await rows.set_role(owner.id, "member", actor=GATEWAY)
    with pytest.raises(AlreadyExists, match="last owner"):
        await rows.set_disabled(owner.id, 5_000, actor=GATEWAY)
    await rows.set_role(member.id, "owner", actor=GATEWAY)
    await rows.set_disabled(owner.id, 5_000, actor=GATEWAY)
    with pytest.raises(AlreadyExists, match="last owner"):
        await rows.set_role(member.id, "viewer", actor=GATEWAY)
    changed = await rows.set_disabled(owner.id, None, actor=GATEWAY)
    assert changed is not None
    assert changed.disabled_ms is None


async def test_two_owners_who_step_down_at_once_leave_one(database: Database, rows: UserRows):
    owners = [await new_user(database), await new_user(database)]
    done = await asyncio.gather(
        *(rows.set_role(owner.id, "viewer", actor=GATEWAY) for owner in owners), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["AlreadyExists", "UserRow"]
    assert sorted(user.role for user in await rows.all("acme")) == ["owner", "viewer"]


async def test_a_change_of_password_role_or_state_ends_every_session(database: Database, rows: UserRows):
    await new_user(database)
    user, other = await new_user(database), await new_user(database, "viewer")
    sign_in = SignInRows(database)
    await sign_in.open(session(other.id), IDLE_MS)
    changes = [
        lambda: rows.set_password(user.id, "$new", actor=GATEWAY),
        lambda: rows.set_role(user.id, "viewer", actor=GATEWAY),
        lambda: rows.set_disabled(user.id, 9, actor=GATEWAY),
    ]
    for change in changes:
        assert await sign_in.open(session(user.id), IDLE_MS)
        await sign_in.add_link(b"l" * 32, "acme", user.id, 1_000, 2_000, actor=GATEWAY)
        await change()
        assert await sign_in.of_user(user.id) == []
    assert await sign_in.link(b"l" * 32, 1_500) is None
    assert not await rows.set_password(user.id, "$again", actor=GATEWAY)
    assert len(await sign_in.of_user(other.id)) == 1


async def test_a_hash_is_replaced_only_while_it_is_the_same(database: Database, rows: UserRows):
    user = await new_user(database, password_hash="$old")
    await rows.rehash(user.id, "$other", "$no")
    await rows.rehash(user.id, "$old", "$new")
    found = await rows.with_hash(user.email)
    assert found is not None
    assert found[1] == "$new"


async def test_a_subject_belongs_to_one_user_and_stays(database: Database, rows: UserRows):
    user = await new_user(database)
    assert await rows.set_subject(user.id, "https://id.test 1")
    assert await rows.set_subject(user.id, "https://id.test 1")
    assert not await rows.set_subject(user.id, "https://id.test 2")
    found = await rows.of_subject("https://id.test 1")
    assert found is not None
    assert found.id == user.id


def test_an_address_is_kept_in_lower_case():
    assert email_of(" Ann@Example.COM ") == "ann@example.com"


@pytest.mark.parametrize("text", ["", "ann", "@example.com", "a@b@c", "a b@c", "a\0@b", f"{'a' * 65}@b"])
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(InvalidField):
        email_of(text)


async def test_the_trail_tells_every_change_of_a_user_and_no_secret(database: Database, rows: UserRows):
    await new_user(database)
    ann, sign_in = Actor("user_ann"), SignInRows(database)
    user = await rows.add(NewUser("acme", "bob@example.com", "viewer", "$old"), 1_000, actor=ann)
    await sign_in.add_link(b"l" * 32, "acme", user.id, 1_000, 2_000, actor=ann)
    await sign_in.use_link(b"l" * 32, None, "$newer", session(""), IDLE_MS)
    await rows.set_password(user.id, "$newest", actor=Actor(user.id))
    await rows.set_role(user.id, "billing", actor=ann)
    await rows.set_role(user.id, "billing", actor=ann)
    await rows.set_disabled(user.id, 3_000, actor=ann)
    await rows.set_disabled(user.id, None, actor=ann)
    found = await database.fetch(
        "SELECT actor, action, before, after FROM trail WHERE subject = $1 ORDER BY seq", user.id
    )
    assert [(actor == "user_ann", action.removeprefix("user.")) for actor, action, *_ in found] == [
        (True, "create"), (True, "link"), (False, "password"), (False, "password"), (True, "role"),
        (True, "disable"), (True, "enable"),
    ]  # fmt: skip
    assert "$" not in str([row[2:] for row in found])
    assert await Trail(database).verify() == []
