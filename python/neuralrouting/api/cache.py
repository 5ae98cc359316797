"""`/v1/cache`: what is stored for an account, how often it was right, and the way to be rid of it."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.bodies import JudgementBody, body_of
from neuralrouting.api.changelog import changed
from neuralrouting.clock import unix_ms
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.intervals import wilson
from neuralrouting.storage.entries import EntryRows, StoredEntry
from neuralrouting.storage.judgements import Judgement, Judgements, Verdicts
from neuralrouting.storage.purges import Purges, key_of
from neuralrouting.storage.trail import actor_of

_NAMED = ("entry", "scope", "pattern")


class Named(msgspec.Struct, frozen=True):
    """Which stored answers are meant: those that match all that is not None, so all of them where nothing is named."""

    scope: bytes | None = None
    key: bytes | None = None
    pattern: str | None = None


class Cache:
    """Shows, purges and judges stored answers. `obey` makes this worker's memory follow at once."""

    def __init__(
        self,
        entries: EntryRows,
        purges: Purges,
        judgements: Judgements,
        accounts: AccountBook,
        obey: Callable[[], Awaitable[None]],
    ) -> None:
        self._entries = entries
        self._purges = purges
        self._judgements = judgements
        self._accounts = accounts
        self._obey = obey

    async def show(self, request: Request, caller: Caller) -> Response:
        """Tell what is stored, and which share of the hits that somebody judged was wrong."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        stored, wrong = await self.figures(account_id)
        return json_response({"object": "cache", "account": account_id, **stored, "wrong_hits": wrong})

    async def purge(self, request: Request, caller: Caller) -> Response:
        """Delete what is named; all of it only where that is said."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account", "all", *_NAMED))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        if filters.yes(told, "all") == any(name in told for name in _NAMED):
            raise InvalidField("say what is to go: either all=true, or entry, scope, pattern", param="all")
        named = Named(_key(told, "scope"), _key(told, "entry"), told.get("pattern"))
        purged = await self.take_out(caller, account_id, named)
        return json_response({"object": "cache.purge", "account": account_id, "purged": purged})

    async def judge(self, request: Request, caller: Caller) -> Response:
        """Take somebody's word on whether a hit was right; one that was not is given no more."""
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        account_id = await account_of(caller, told.get("account"), self._accounts)
        body = await body_of(request, JudgementBody)
        key = bytes.fromhex(body.entry)
        judgement = Judgement(account_id, key, body.kind, body.similarity, body.agreed, "user")
        await self.take_word(caller, judgement)
        return json_response({"object": "cache.judgement", "account": account_id, "retired": not body.agreed}, 201)

    async def figures(self, account_id: str) -> tuple[JsonObject, JsonObject]:
        """Return what is stored for an account, and which share of its hits that somebody judged was wrong."""
        stored = await self._entries.statistics(account_id, unix_ms())
        return stored, wrong_hits(await self._judgements.counts(account_id))

    async def newest(self, account_id: str, limit: int) -> list[StoredEntry]:
        """Return up to `limit` of an account's stored answers, newest first, without their texts."""
        return await self._entries.newest(account_id, unix_ms(), limit)

    async def count(self, account_id: str, named: Named) -> int:
        """Return how many stored answers `take_out` would delete. Raises InvalidField as it does."""
        told = msgspec.structs.asdict(named)
        return await self._purges.count(account_id, **told, now_ms=unix_ms())

    async def take_out(self, caller: Caller, account_id: str, named: Named) -> int:
        """Delete stored answers; return how many. Raises InvalidField."""
        told = msgspec.structs.asdict(named)
        purged = await self._purges.purge(account_id, **told, now_ms=unix_ms(), actor=actor_of(caller.key_id))
        await self._obey()
        changed(caller, "cache.purge", account=account_id, purged=purged)
        return purged

    async def take_word(self, caller: Caller, said: Judgement) -> None:
        """Write somebody's judgement down; what was wrong is given no more. Raises NotFound for no such entry."""
        await self._judgements.judge(said, unix_ms(), actor=actor_of(caller.key_id))
        if not said.agreed:
            await self._obey()
            changed(caller, "cache.retire", account=said.account_id, entry=said.key.hex())


def wrong_hits(counts: Mapping[str, Verdicts]) -> JsonObject:
    """Return how many hits were judged, of all kinds and of each, and which share was wrong, with its 95 % interval."""
    judged = sum(verdicts.judged for verdicts in counts.values())
    wrong = sum(verdicts.disagreed for verdicts in counts.values())
    by_kind: JsonObject = {kind: _rate(verdicts.judged, verdicts.disagreed) for kind, verdicts in counts.items()}
    return {**_rate(judged, wrong), "by_kind": by_kind}


def _rate(judged: int, wrong: int) -> JsonObject:
    """No rate for none: it would be a guess."""
    rate = round(wrong / judged, 6) if judged else None
    return {"judged": judged, "wrong": wrong, "rate": rate, "interval": [round(b, 6) for b in wilson(wrong, judged)]}


def _key(told: Mapping[str, str], name: str) -> bytes | None:
    text = told.get(name)
    return None if text is None else key_of(text, name)
