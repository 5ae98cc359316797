"""`GET /v1/admin/trail`: who changed what in an account, from what to what, newest first."""

from collections.abc import Container

import orjson
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of, admit
from neuralrouting.api.answers import json_response
from neuralrouting.api.figures import moment
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import COMMON, GATEWAY, Trail, TrailEntry, actor_of

_MOST_ENTRIES = 2**62


class TrailPages:
    """Shows the trail of an account to its owners, and any to operators."""

    def __init__(self, trail: Trail, accounts: AccountBook, keys: KeyRows) -> None:
        self._trail = trail
        self._accounts = accounts
        self._keys = keys

    async def page(self, request: Request, caller: Caller) -> Response:
        """List entries; `next` is the `before` of the page behind, null at the end. `common` is what has no account."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", "common", "before", "limit"))
        before, limit = filters.integer(told, "before", 1, _MOST_ENTRIES), filters.page_size(told)
        if filters.yes(told, "common"):
            admit(caller, "operator")
            if "account" in told:
                raise InvalidField("`common` is of no account: tell one of the two", param="common")
            account_id = COMMON
        else:
            account_id = await account_of(caller, told.get("account"), self._accounts)
        body: JsonObject = {"object": "list", "account": account_id or None}
        return json_response(body | await self.listed(caller, account_id, before, limit))

    async def listed(self, caller: Caller, account_id: str, before: int | None, limit: int) -> JsonObject:
        """Return entries of a chain, newest first, where it ends, and where the entries behind these begin."""
        found = await self._trail.page(account_id, before, limit + 1)
        head = await self._trail.head(account_id)
        shown = found[:limit]
        data = [trail_fields(entry) for entry in shown]
        if caller.role != "operator":
            data = await self._veiled(account_id, data)
        return {
            "data": data,
            "head": {"seq": head.seq, "hash": head.hash.hex()},
            "next": shown[-1].seq if len(found) > limit else None,
        }

    async def _veiled(self, account_id: str, data: list[JsonObject]) -> list[JsonObject]:
        """Name those who are of the account; anybody else is the operator of the gateway, whoever that was."""
        own = {actor_of(key.id) for key in await self._keys.all(account_id)}
        return [fields | {"actor": _known(fields["actor"], own)} for fields in data]


def trail_fields(entry: TrailEntry) -> JsonObject:
    """Return what is told of one entry."""
    return {
        "seq": entry.seq,
        "at": moment(entry.at_ms),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "before": orjson.loads(entry.before) if entry.before is not None else None,
        "after": orjson.loads(entry.after) if entry.after is not None else None,
        "hash": entry.hash.hex(),
    }


def _known(actor: str, own: Container[str]) -> str:
    return actor if actor in own or actor == GATEWAY or actor.startswith("user_") else "operator"
