"""The page of the cache: how often it answered, what that saved, how often it was wrong, and how to be rid of it."""

from neuralrouting.api.cache import Cache, Named
from neuralrouting.api.figures import group_fields, moment, money, total
from neuralrouting.config import CacheConfig, SemanticCacheConfig
from neuralrouting.dashboard.page import Ask, Column, Deed, Form, Page, Shown, Table
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.entries import StoredEntry
from neuralrouting.storage.judgements import HitKind, Judgement
from neuralrouting.storage.purges import key_of
from neuralrouting.storage.usage import UsageRows, UsageSums

SHOWN_ENTRIES = 50
MOST_ROWS = 10_000
"""More than there are days in the longest range, or hours in a month, real and simulated."""
_KINDS: dict[str, HitKind] = {"exact": "exact", "canonical": "canonical", "semantic": "semantic"}
_BY_TIME = (
    Column("requests", "Requests", "count"),
    Column("exact_hits", "Exact", "count"),
    Column("semantic_hits", "Other words", "count"),
    Column("cache_share", "From cache", "percent"),
    Column("saved_exact_cache_nanousd", "Saved, exact", "usd"),
    Column("saved_semantic_cache_nanousd", "Saved, other words", "usd"),
)
_ENTRIES = (
    Column("entry", "Entry", "code"),
    Column("deployment", "Model"),
    Column("kept_for", "Found by"),
    Column("size", "Bytes", "count"),
    Column("stored", "Stored", "time"),
    Column("expires", "Expires", "time"),
)
_MODELS = (
    Column("deployment", "Model"),
    Column("entries", "Answers", "count"),
    Column("bytes", "Bytes", "count"),
)


class CachePage:
    """What the page shows and does, through the same code as the API."""

    def __init__(self, usage: UsageRows, stored: Cache, cache: CacheConfig, semantic: SemanticCacheConfig) -> None:
        self._usage = usage
        self._stored = stored
        self._settings = _settings(cache, semantic)

    def page(self) -> Page:
        """Return the page."""
        tables = {
            "over_time": Table("Over time", (Column("at", "Time"), *_BY_TIME), lambda body: body["over_time"]),
            "models": Table("Stored answers by model", _MODELS, lambda body: body["stored"]["deployments"]),
            "entries": Table("Newest stored answers", _ENTRIES, lambda body: body["entries"]),
        }
        return Page("cache", "Cache", "see_requests", self.body, tables)

    def deeds(self) -> list[Deed]:
        """Return what can be done here."""
        return [
            Deed("/cache/purge", "set_routing", self.purge, "The stored answers are gone, from every worker."),
            Deed("/cache/judge", "judge", self.judge, "Your judgement counts. A wrong answer is given no more."),
        ]

    async def body(self, ask: Ask) -> JsonObject:
        """Return hits and savings of the period and the one before, what is stored, and how often a hit was wrong."""
        account_id, bar = ask.viewer.account_id, ask.bar
        grain = "day" if bar.by_day else "hour"
        found = await self._usage.sums(bar.usage(account_id, grain), MOST_ROWS)
        rows = [row for row in found if row.simulated == bar.simulated]
        before = total(await self._usage.sums(bar.usage_before(account_id), 2), simulated=bar.simulated)
        stored, wrong = await self._stored.figures(account_id)
        newest = await self._stored.newest(account_id, SHOWN_ENTRIES)
        return {
            "object": "page.cache",
            "now": _figures(total(rows, simulated=bar.simulated)),
            "before": _figures(before),
            "over_time": [{"at": group_fields((grain,), row)[grain], **_figures(row.sums)} for row in rows],
            "stored": stored,
            "wrong_hits": wrong,
            "entries": [_entry(entry) for entry in newest],
            "settings": self._settings,
        }

    async def purge(self, viewer: Viewer, form: Form) -> Shown | None:
        """Show how much would go; delete it where the form says `sure`."""
        what = form.get("what", "")
        value = form.get("value")
        if what not in ("all", "pattern", "scope", "entry"):
            raise InvalidField("`what` must be all, pattern, scope or entry", param="what")
        if (what == "all") != (value is None):
            raise InvalidField("say which pattern, scope or entry; nothing beside `all`", param="value")
        named = Named(
            key_of(value, "scope") if what == "scope" and value else None,
            key_of(value, "entry") if what == "entry" and value else None,
            value if what == "pattern" else None,
        )
        if form.get("sure") != "yes":
            count = await self._stored.count(viewer.account_id, named)
            return Shown("cache_purge.html", "Purge the cache", {"what": what, "value": value, "count": count})
        await self._stored.take_out(viewer.caller, viewer.account_id, named)
        return None

    async def judge(self, viewer: Viewer, form: Form) -> None:
        """Take somebody's word on whether a hit was right; one that was not is given no more."""
        kind, right = _KINDS.get(form.get("kind", "")), form.get("right")
        if kind is None:
            raise InvalidField(f"`kind` must be one of {', '.join(_KINDS)}", param="kind")
        if right not in ("yes", "no"):
            raise InvalidField("`right` must be yes or no", param="right")
        key = key_of(form.get("entry", ""), "entry")
        await self._stored.take_word(
            viewer.caller, Judgement(viewer.account_id, key, kind, 1.0, right == "yes", "user")
        )


def _figures(sums: UsageSums) -> JsonObject:
    hits = sums.exact_hits + sums.semantic_hits
    return {
        "requests": sums.requests,
        "exact_hits": sums.exact_hits,
        "semantic_hits": sums.semantic_hits,
        "cache_share": hits / sums.requests if sums.requests else None,
        **money("saved_exact_cache", sums.saved_exact_nanousd),
        **money("saved_semantic_cache", sums.saved_semantic_nanousd),
        **money("saved_cache", sums.saved_exact_nanousd + sums.saved_semantic_nanousd),
        **money("provider_cache", sums.provider_cache_nanousd),
    }


def _entry(entry: StoredEntry) -> JsonObject:
    return {
        "entry": entry.key,
        "deployment": entry.deployment,
        "simulated": entry.simulated,
        "scope": entry.scope,
        "kept_for": "its exact text" if entry.scope is None else "its text or other words",
        "size": entry.size,
        "stored": moment(entry.stored_ms),
        "expires": moment(entry.expires_ms),
    }


def _settings(cache: CacheConfig, semantic: SemanticCacheConfig) -> JsonObject:
    return {
        "enabled": cache.enabled,
        "ttl_days": cache.ttl_days,
        "memory_mb": cache.memory_mb,
        "persist": cache.persist,
        "semantic": semantic.enabled,
        "similarity_threshold": cache.similarity_threshold,
        "verifier": semantic.verifier,
        "scope": semantic.scope,
        "embedder": semantic.embedder,
    }
