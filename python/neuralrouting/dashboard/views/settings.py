"""Settings: one's own password and sessions, and for owners the users of their account."""

from collections.abc import Awaitable, Callable

from neuralrouting.accounts.passwords import Passwords, check_password
from neuralrouting.api import filters
from neuralrouting.api.trail import TrailPages
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.links import INVITE_MS, make_link
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Shown, Table
from neuralrouting.dashboard.rights import ROLES
from neuralrouting.dashboard.session import SessionGate, alive
from neuralrouting.dashboard.throttle import Throttle
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField, NotFound, PermissionDenied
from neuralrouting.exchange import JsonObject, UserRole
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.failures import FailureRows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.sign_in import SessionRow, SignInRows
from neuralrouting.storage.trail import Trail, actor_of
from neuralrouting.storage.users import NewUser, UserRow, UserRows, email_of

TRAIL_ROWS = 50
"""Changes on one page."""
_Do = Callable[[Viewer, Form], Awaitable[str | Shown | None]]


class Settings:
    """Reads and changes users and sessions."""

    def __init__(self, gate: SessionGate, database: Database, passwords: Passwords) -> None:
        self._gate = gate
        self._trail = TrailPages(Trail(database), AccountRows(database), KeyRows(database))
        self._passwords = passwords
        self._users = UserRows(database)
        self._rows = SignInRows(database)
        self._throttle = Throttle(FailureRows(database))

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "sessions": Table("Your sessions", _SESSION_COLUMNS, lambda body: body["sessions"]),
            "users": Table("Users of this account", _USER_COLUMNS, lambda body: body["users"]),
            "trail": Table("What was changed", _TRAIL_COLUMNS, lambda body: body["trail"]["data"]),
        }
        return Page("settings", "Settings", "see_money", self.body, tables, ("before",), nav=False, filters=False)

    def deeds(self) -> list[Deed]:
        """Return what can be done on it."""
        of_users: tuple[tuple[str, _Do, str], ...] = (
            ("invite", self._invite, "The user was added."),
            ("link", self._link, "A link was made."),
            ("role", self._set_role, "The role was changed, and the user signed out."),
            ("disable", self._disable, "The user was disabled and signed out."),
            ("enable", self._enable, "The user may sign in again."),
            ("sign-out", self._sign_out, "The user was signed out everywhere."),
        )
        return [
            Deed("/settings/password", "see_money", self._change_password, "Your password was changed."),
            Deed("/settings/sessions/end", "see_money", self._end_session, "The session was ended."),
            *(Deed(f"/settings/users/{name}", "set_users", do, said) for name, do, said in of_users),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return who is signed in, its sessions and, for who may change them, the users of its account."""
        viewer = ask.viewer
        sessions = await self._rows.of_user(viewer.id)
        users = await self._users.all(viewer.account_id) if viewer.may("set_users") else []
        trail: JsonObject = {"data": [], "head": None, "next": None}
        if viewer.may("set_users"):
            before = filters.integer(ask.told, "before", 1, 2**62)
            trail = await self._trail.listed(viewer.caller, viewer.account_id, before, TRAIL_ROWS)
        return {
            "object": "page.settings",
            "user": {"id": viewer.id, "name": viewer.name, "account": viewer.account_id, "role": viewer.role},
            "roles": list(ROLES),
            "sessions": [session_facts(one, viewer) for one in sessions if alive(one, ask.now_ms, self._gate.idle_ms)],
            "users": [user_facts(one) for one in users],
            "trail": trail,
        }

    async def _change_password(self, viewer: Viewer, form: Form) -> str:
        new = form.get("new", "")
        check_password(new)
        await self._throttle.tried(viewer.name, viewer.id, unix_ms())
        user, stored = await self._users.with_hash(viewer.name) or (None, None)
        if stored is None and user is not None and user.subject is not None:
            raise PermissionDenied("your identity provider signs you in; you have no password here")
        if stored is not None and not (await self._passwords.check(stored, form.get("password", ""))).right:
            raise InvalidField("this is not your password", param="password")
        if user is None or user.id != viewer.id:
            raise PermissionDenied("an API key has no password")
        if not await self._users.set_password(viewer.id, await self._passwords.hash(new), actor=actor_of(viewer.id)):
            raise PermissionDenied("this user is disabled")
        self._gate.forget(viewer.id)
        await self._throttle.succeeded(viewer.name, viewer.id)
        return "/login"

    async def _end_session(self, viewer: Viewer, form: Form) -> None:
        try:
            digest = bytes.fromhex(form.get("session", ""))
        except ValueError:
            digest = b""
        if not await self._gate.end(digest, viewer.id):
            raise NotFound("this session has ended already")

    async def _invite(self, viewer: Viewer, form: Form) -> Shown:
        new = NewUser(viewer.account_id, email_of(form.get("email", "")), _role_of(form))
        return await self._shown(viewer, await self._users.add(new, unix_ms(), actor=actor_of(viewer.id)))

    async def _link(self, viewer: Viewer, form: Form) -> Shown:
        user = await self._of_account(viewer, form)
        if user.disabled_ms is not None:
            raise PermissionDenied("this user is disabled; let it in again first")
        return await self._shown(viewer, user)

    async def _set_role(self, viewer: Viewer, form: Form) -> None:
        user = await self._of_account(viewer, form)
        await self._users.set_role(user.id, _role_of(form), actor=actor_of(viewer.id))
        self._gate.forget(user.id)

    async def _disable(self, viewer: Viewer, form: Form) -> None:
        user = await self._of_account(viewer, form)
        await self._users.set_disabled(user.id, unix_ms(), actor=actor_of(viewer.id))
        self._gate.forget(user.id)

    async def _enable(self, viewer: Viewer, form: Form) -> None:
        user = await self._of_account(viewer, form)
        await self._users.set_disabled(user.id, None, actor=actor_of(viewer.id))

    async def _sign_out(self, viewer: Viewer, form: Form) -> None:
        user = await self._of_account(viewer, form)
        await self._rows.end_all(user.id)
        self._gate.forget(user.id)

    async def _of_account(self, viewer: Viewer, form: Form) -> UserRow:
        """Return the user that a form names; one of another account is like one that there is not."""
        user = await self._users.find(form.get("user", ""))
        if user is None or user.account_id != viewer.account_id:
            raise NotFound("no such user", param="user")
        return user

    async def _shown(self, viewer: Viewer, user: UserRow) -> Shown:
        actor = actor_of(viewer.id)
        path = await make_link(self._rows, user.account_id, user.id, unix_ms(), INVITE_MS, actor=actor)
        context = {"email": user.email, "path": path, "hours": INVITE_MS // 3_600_000}
        return Shown("settings_link.html", "A link for signing in", context)


_SESSION_COLUMNS = (
    Column("agent", "Browser"),
    Column("address", "Address"),
    Column("created_ms", "Since", "time"),
    Column("seen_ms", "Used", "time"),
    Column("expires_ms", "Ends at the latest", "time"),
    Column("current", "This one", "yes"),
)
_TRAIL_COLUMNS = (
    Column("at", "When", "time"),
    Column("actor", "Who"),
    Column("action", "What"),
    Column("subject", "Of"),
    Column("before", "Before", "json"),
    Column("after", "After", "json"),
)
_USER_COLUMNS = (
    Column("email", "E-mail"),
    Column("role", "Role"),
    Column("created_ms", "Since", "time"),
    Column("last_seen_ms", "Last seen", "time"),
    Column("signs_in", "Signs in"),
    Column("disabled", "Disabled", "yes"),
)


def session_facts(session: SessionRow, viewer: Viewer) -> JsonObject:
    """Return what is shown of one's own session."""
    return {
        "id": session.id,
        "agent": session.agent or "unknown",
        "address": session.address,
        "created_ms": session.created_ms,
        "seen_ms": session.seen_ms,
        "expires_ms": session.expires_ms,
        "current": session.id == viewer.session_id,
    }


def user_facts(user: UserRow) -> JsonObject:
    """Return what owners see of a user."""
    ways = [name for name, has in (("password", user.has_password), ("provider", user.subject is not None)) if has]
    return {
        "id": user.id,
        "email": user.email,
        "role": user.role,
        "created_ms": user.created_ms,
        "last_seen_ms": user.last_seen_ms,
        "signs_in": ", ".join(ways) or "invited",
        "disabled": user.disabled_ms is not None,
    }


def _role_of(form: Form) -> UserRole:
    for role in ROLES:
        if form.get("role") == role:
            return role
    raise InvalidField(f"a role is one of {', '.join(ROLES)}", param="role")
