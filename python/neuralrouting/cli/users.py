"""`neuralrouting users`: who may look at the dashboard, and how they get in."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuralrouting.cli.options import Commands, ask_database, cli_actor, config_option, json_option, load
from neuralrouting.cli.show import print_json, print_table, time_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import UserRole
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.sign_in import SessionRow
    from neuralrouting.storage.users import UserRow, UserRows

_Result = TypeVar("_Result")
_ROLES = click.Choice(["owner", "member", "billing", "viewer"])
_MINUTES = click.option(
    "--minutes", type=click.IntRange(1, 10_080), default=15, show_default=True, help="How long the link lets in."
)


@click.group(cls=Commands)
def users() -> None:
    """Add, list, change and disable the people who look at the dashboard, and make links that let them in.

    \b
      neuralrouting users add ann@example.com --role owner
    """


@users.command("list")
@click.option("--account", help="Only users of this account.")
@config_option
@json_option
def list_users(account: str | None, path: Path | None, *, as_json: bool) -> None:
    """List users: id, e-mail, account, role, how they sign in, times.

    \b
      neuralrouting users list --json
    """
    rows = [_facts(row) for row in _with_users(path, lambda rows: rows.all(account))]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no users yet; `neuralrouting users add EMAIL` adds one")
    else:
        print_table(list(rows[0]), [[str(value or "") for value in row.values()] for row in rows])


@users.command("add")
@click.argument("email", metavar="EMAIL")
@click.option("--role", type=_ROLES, default="viewer", show_default=True, help="What the user may do.")
@click.option("--account", default="default", show_default=True, help="Account whose figures the user sees.")
@_MINUTES
@config_option
@json_option
def add_user(email: str, role: "UserRole", account: str, minutes: int, path: Path | None, *, as_json: bool) -> None:
    """Add a user and print a link that lets in once, to choose a password. An account that is not there is made, too.

    \b
      neuralrouting users add ann@example.com --role owner --minutes 1440
    """
    from neuralrouting.storage.accounts import AccountRows
    from neuralrouting.storage.users import NewUser, UserRows, email_of

    plan_id = load(path).config.billing.default_plan

    async def ask(database: "Database") -> "tuple[UserRow, str]":
        new = NewUser(account, email_of(email), role)
        await AccountRows(database).ensure(account, account, unix_ms(), plan_id, actor=cli_actor())
        user = await UserRows(database).add(new, unix_ms(), actor=cli_actor())
        return user, await _link_of(database, user, minutes)

    user, link = ask_database(path, ask)
    _tell(user, path, link, minutes, as_json=as_json)


@users.command("link")
@click.argument("email", metavar="EMAIL")
@_MINUTES
@config_option
@json_option
def link_user(email: str, minutes: int, path: Path | None, *, as_json: bool) -> None:
    """Make a link that lets a user in once, to choose a new password too. The user's earlier links end.

    \b
      neuralrouting users link ann@example.com
    """

    async def ask(database: "Database") -> "tuple[UserRow, str]":
        user = await _found(database, email)
        if user.disabled_ms is not None:
            raise click.ClickException(f"{user.email} is disabled; see `neuralrouting users enable`")
        return user, await _link_of(database, user, minutes)

    user, link = ask_database(path, ask)
    _tell(user, path, link, minutes, as_json=as_json)


@users.command("role")
@click.argument("email", metavar="EMAIL")
@click.argument("role", type=_ROLES)
@config_option
@json_option
def set_role(email: str, role: "UserRole", path: Path | None, *, as_json: bool) -> None:
    """Give a user another role and end its sessions. The last owner of an account stays one.

    \b
      neuralrouting users role ann@example.com billing
    """
    user = _changed(path, email, lambda rows, user: rows.set_role(user.id, role, actor=cli_actor()))
    _say(user, f"{user.email} is now {user.role} of {user.account_id}", as_json=as_json)


@users.command("disable")
@click.argument("email", metavar="EMAIL")
@config_option
@json_option
def disable_user(email: str, path: Path | None, *, as_json: bool) -> None:
    """Let a user in no more; its sessions end, in running gateways within two seconds.

    \b
      neuralrouting users disable ann@example.com
    """
    user = _changed(path, email, lambda rows, user: rows.set_disabled(user.id, unix_ms(), actor=cli_actor()))
    _say(user, f"{user.email} is disabled", as_json=as_json)


@users.command("enable")
@click.argument("email", metavar="EMAIL")
@config_option
@json_option
def enable_user(email: str, path: Path | None, *, as_json: bool) -> None:
    """Let a user that was disabled in again.

    \b
      neuralrouting users enable ann@example.com
    """
    user = _changed(path, email, lambda rows, user: rows.set_disabled(user.id, None, actor=cli_actor()))
    _say(user, f"{user.email} may sign in again", as_json=as_json)


@users.command("sessions")
@click.argument("email", metavar="EMAIL")
@click.option("--end", is_flag=True, help="End all of them.")
@config_option
@json_option
def show_sessions(email: str, path: Path | None, *, end: bool, as_json: bool) -> None:
    """List where a user is signed in, or sign it out everywhere.

    \b
      neuralrouting users sessions ann@example.com --end
    """
    from neuralrouting.dashboard.session import alive
    from neuralrouting.storage.sign_in import SignInRows

    idle_ms = int(load(path).config.dashboard.session_idle_hours * 3_600_000)

    async def ask(database: "Database") -> "list[SessionRow]":
        user, rows = await _found(database, email), SignInRows(database)
        found = [one for one in await rows.of_user(user.id) if alive(one, unix_ms(), idle_ms)]
        if end:
            await rows.end_all(user.id)
        return found

    rows = [
        {"id": one.id[:16], "since": time_text(one.created_ms), "used": time_text(one.seen_ms),
         "ends": time_text(one.expires_ms), "address": one.address, "agent": one.agent}
        for one in ask_database(path, ask)
    ]  # fmt: skip
    if as_json:
        print_json({"ended": end, "sessions": rows})
    elif end:
        click.echo(f"ended {len(rows)} sessions of {email}")
    elif not rows:
        click.echo(f"{email} is not signed in")
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


def _facts(user: "UserRow") -> dict[str, Any]:
    """Return what may be shown of a user."""
    ways = [name for name, has in (("password", user.has_password), ("provider", user.subject is not None)) if has]
    return {
        "id": user.id,
        "email": user.email,
        "account": user.account_id,
        "role": user.role,
        "signs_in": ", ".join(ways) or "invited",
        "created": time_text(user.created_ms),
        "last_seen": time_text(user.last_seen_ms) if user.last_seen_ms is not None else None,
        "disabled": time_text(user.disabled_ms) if user.disabled_ms is not None else None,
    }


def _tell(user: "UserRow", path: Path | None, link: str, minutes: int, *, as_json: bool) -> None:
    """Print a link, the only time that it is known."""
    from neuralrouting.dashboard.links import base_url

    server = load(path).config.server
    url = f"{base_url(server.host, server.port)}{link}"
    if as_json:
        print_json(_facts(user) | {"link": url})
        return
    click.echo(url)
    click.echo(f"{user.email}, {user.role} of {user.account_id}: it lets in once, within {minutes} minutes", err=True)


def _say(user: "UserRow", line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(user))
    else:
        click.echo(line)


async def _found(database: "Database", email: str) -> "UserRow":
    from neuralrouting.storage.users import UserRows, email_of

    user = await UserRows(database).of_email(email_of(email))
    if user is None:
        raise click.ClickException(f"no user {email!r}; see `neuralrouting users list`")
    return user


async def _link_of(database: "Database", user: "UserRow", minutes: int) -> str:
    from neuralrouting.dashboard.links import make_link
    from neuralrouting.storage.sign_in import SignInRows

    return await make_link(
        SignInRows(database), user.account_id, user.id, unix_ms(), minutes * 60_000, actor=cli_actor()
    )


def _changed(
    path: Path | None, email: str, change: "Callable[[UserRows, UserRow], Awaitable[UserRow | None]]"
) -> "UserRow":
    from neuralrouting.storage.users import UserRows

    async def ask(database: "Database") -> "UserRow":
        user = await _found(database, email)
        return await change(UserRows(database), user) or user

    return ask_database(path, ask)


def _with_users(path: Path | None, ask: "Callable[[UserRows], Awaitable[_Result]]") -> _Result:
    from neuralrouting.storage.users import UserRows

    return ask_database(path, lambda database: ask(UserRows(database)))
