"""`/v1/admin/.../keys`: keys made, changed and taken back by the operator; a key is shown in full once."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.accounts.allowance import Allowance
from neuralrouting.accounts.keys import create_key
from neuralrouting.api.admin import no_parameters, path_id
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import KeyChange, NewKey, body_of
from neuralrouting.api.changelog import changed
from neuralrouting.api.figures import moment
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField, NotFound
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.trail import actor_of

_NAME_CHARS = 200
_OPTIONS = KeyOptions.__struct_fields__


class Keys:
    """Makes, shows, changes and revokes the keys of every account."""

    def __init__(self, rows: KeyRows, accounts: AccountRows, allowance: Allowance) -> None:
        self._rows = rows
        self._accounts = accounts
        self._allowance = allowance

    async def all(self, request: Request, _caller: Caller) -> Response:
        """List the keys of an account, revoked ones too, oldest first."""
        no_parameters(request)
        account_id = await self._account(request)
        return json_response({"object": "list", "data": [_fields(row) for row in await self._rows.all(account_id)]})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make a key and show it, this once."""
        no_parameters(request)
        account_id, told = await self._account(request), await body_of(request, NewKey)
        if len(told.name) > _NAME_CHARS or not (told.name.isprintable() or not told.name):
            raise InvalidField(f"`name` must be one printable line of up to {_NAME_CHARS} characters", param="name")
        await self._allowance.check_mode(account_id, told.routing_mode)
        options = KeyOptions(**{name: getattr(told, name) for name in _OPTIONS})
        actor = actor_of(caller.key_id)
        minted = await create_key(
            self._rows, account_id, told.name, live=told.live, now_ms=unix_ms(), actor=actor, options=options
        )
        changed(caller, "key.create", account=account_id, made=minted.id, given=options.role, live=told.live)
        row = await self._row(minted.id)
        response = json_response({**_fields(row), "key": minted.key}, 201)
        response.headers["cache-control"] = "no-store"
        return response

    async def change(self, request: Request, caller: Caller) -> Response:
        """Change what is told of a key; gateways obey within two seconds."""
        no_parameters(request)
        key_id, told = path_id(request), await body_of(request, KeyChange)
        new = {name: value for name in _OPTIONS if (value := getattr(told, name)) is not msgspec.UNSET}
        if isinstance(mode := told.routing_mode, str):
            await self._allowance.check_mode((await self._row(key_id)).account_id, mode)
        options = await self._rows.change(
            key_id, lambda old: msgspec.structs.replace(old, **new), unix_ms(), actor=actor_of(caller.key_id)
        )
        if options is None:
            raise NotFound(f"no key {key_id[:64]!r} that is not revoked")
        changed(caller, "key.change", changed_key=key_id, **new)
        return json_response(_fields(await self._row(key_id)))

    async def revoke(self, request: Request, caller: Caller) -> Response:
        """Revoke a key for good; gateways refuse it within two seconds."""
        no_parameters(request)
        key_id = path_id(request)
        if not await self._rows.revoke(key_id, unix_ms(), actor=actor_of(caller.key_id)):
            raise NotFound(f"no key {key_id[:64]!r} that is not revoked")
        changed(caller, "key.revoke", revoked=key_id)
        return json_response({"id": key_id, "revoked": True})

    async def _account(self, request: Request) -> str:
        account_id = path_id(request)
        if await self._accounts.find(account_id) is None:
            raise NotFound(f"no account {account_id!r}")
        return account_id

    async def _row(self, key_id: str) -> KeyRow:
        row = await self._rows.find(key_id)
        if row is None:
            raise NotFound(f"no key {key_id[:64]!r}")
        return row


def _fields(row: KeyRow) -> JsonObject:
    return {
        "object": "key",
        "id": row.id,
        "account": row.account_id,
        "name": row.name,
        "live": row.live,
        "last4": row.last4,
        "created": moment(row.created_ms),
        "revoked": moment(row.revoked_ms) if row.revoked_ms is not None else None,
        **msgspec.structs.asdict(row.options),
    }
