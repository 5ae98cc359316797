"""The page of the cache: hits and what they saved, how often one was wrong, and purges that say first what would go."""

import csv
import io
import re

import httpx
import pytest
from looking import application, person, visiting

from cache_rows import answer, scope_of, stored
from neuralrouting.api.cache import Cache
from neuralrouting.config import CacheConfig, SemanticCacheConfig
from neuralrouting.dashboard.rights import ROLES, UserRole, may
from neuralrouting.dashboard.views.cache import CachePage
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.entries import INSERT_ENTRY, EntryRows, entry_values
from neuralrouting.storage.judgements import Judgements
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.usage import UsageRows
from settling import NOON_MS, new_account, new_worker, settled

pytestmark = pytest.mark.anyio
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
RANGE = {"from": str(NOON_MS - 3_600_000), "to": str(NOON_MS + 3_600_000)}


def cache_page(database: Database, role: UserRole = "owner", account_id: str = "acme") -> httpx.AsyncClient:
    async def obey() -> None:
        return None

    stored = Cache(EntryRows(database), Purges(database), Judgements(database), AccountRows(database), obey)
    cache = CachePage(UsageRows(database), stored, CacheConfig(), SemanticCacheConfig())
    return visiting(application([cache.page()], cache.deeds(), viewer=person(role, account_id)))


@pytest.fixture
async def kept(database: Database) -> Database:
    """Four requests, two of them hits, and three stored answers, one of another account."""
    worker = await new_worker(await new_account(database, credits_mc=10_000))
    free = {"cost_nanousd": 0, "baseline_nanousd": 2_000}
    await worker.turn(
        settled("r1", 0),
        settled("r2", 0, cache="exact", **free),
        settled("r3", 0, cache="semantic", **free),
        settled("r4", 0, cache="exact", simulated=True, **free),
    )
    entries = [
        stored(KEY, body=answer("Paris is the capital"), expires_ms=2 * NOON_MS),
        stored(OTHER, scope=scope_of("here"), body=answer("<b>Rome</b>"), expires_ms=2 * NOON_MS),
        stored(KEY, "theirs", body=answer("Paris"), expires_ms=2 * NOON_MS),
    ]
    await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])
    return database


async def test_hits_and_savings_are_told_alike_on_page_json_and_csv(kept: Database):
    async with cache_page(kept) as client:
        told = (await client.get("/cache.json", params=RANGE)).json()
        page = (await client.get("/cache", params=RANGE)).text
        lines = (await client.get("/cache.csv", params={**RANGE, "table": "over_time"})).text
    now = told["now"]
    assert (now["requests"], now["exact_hits"], now["semantic_hits"]) == (3, 1, 1)
    assert now["saved_cache_nanousd"] == 4_000
    assert f'value="{now["saved_cache_usd"]}"' in page
    [row] = csv.DictReader(io.StringIO(lines))
    assert row["saved_exact_cache_usd"] == now["saved_exact_cache_usd"] == "0.000002000"
    assert float(row["cache_share"]) == pytest.approx(2 / 3)


async def test_simulated_hits_are_apart(kept: Database):
    async with cache_page(kept) as client:
        told = (await client.get("/cache.json", params={**RANGE, "money": "simulated"})).json()
        assert told["now"]["requests"] == 1
        assert "Simulated." in (await client.get("/cache", params={**RANGE, "money": "simulated"})).text


async def test_what_is_stored_is_told_without_its_text_and_only_ones_own(kept: Database):
    async with cache_page(kept) as client:
        told = (await client.get("/cache.json")).json()
        page = (await client.get("/cache")).text
    assert [entry["entry"] for entry in told["entries"]] == [OTHER.hex(), KEY.hex()]
    assert told["stored"]["entries"] == 2
    assert "Paris" not in page
    assert "Rome" not in page


async def test_a_purge_says_first_how_much_would_go_and_then_that_goes(kept: Database):
    async with cache_page(kept) as client:
        form = {"what": "pattern", "value": "PARIS"}
        asked = await client.post("/cache/purge", data=form)
        assert re.search(r"<data value=\"1\">1</data> answer", asked.text)
        assert (await client.get("/cache.json")).json()["stored"]["entries"] == 2
        done = await client.post("/cache/purge", data={**form, "sure": "yes", "back": "/cache"})
        assert done.headers["location"] == "/cache?done=%2Fcache%2Fpurge"
        left = (await client.get("/cache.json")).json()
    assert [entry["entry"] for entry in left["entries"]] == [OTHER.hex()]
    async with cache_page(kept, account_id="theirs") as client:
        assert (await client.get("/cache.json")).json()["stored"]["entries"] == 1


@pytest.mark.parametrize(
    "form",
    [{}, {"what": "all", "value": "x"}, {"what": "pattern"}, {"what": "entry", "value": "xyz"}, {"what": "tables"}],
)
async def test_a_purge_that_does_not_say_what_is_refused(kept: Database, form: dict[str, str]):
    async with cache_page(kept) as client:
        assert (await client.post("/cache/purge", data={**form, "sure": "yes"})).status_code == 422
        assert (await client.get("/cache.json")).json()["stored"]["entries"] == 2


async def test_an_answer_that_was_wrong_is_counted_and_given_no_more(kept: Database):
    async with cache_page(kept, "member") as client:
        said = {"entry": KEY.hex(), "kind": "exact", "right": "no"}
        assert (await client.post("/cache/judge", data=said)).status_code == 303
        told = (await client.get("/cache.json")).json()
        assert told["wrong_hits"]["by_kind"]["exact"]["wrong"] == 1
        assert [entry["entry"] for entry in told["entries"]] == [OTHER.hex()]
        assert (await client.post("/cache/judge", data=said)).status_code == 404
        for wrong in ({"kind": "fuzzy"}, {"right": "perhaps"}, {"entry": "zz"}):
            assert (await client.post("/cache/judge", data=said | wrong)).status_code == 422


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_look_purge_and_judge(kept: Database, role: UserRole):
    async with cache_page(kept, role) as client:
        assert (await client.get("/cache")).status_code == (200 if may(role, "see_requests") else 403)
        purge = await client.post("/cache/purge", data={"what": "all"})
        assert purge.status_code == (200 if may(role, "set_routing") else 403)
        judged = await client.post("/cache/judge", data={"entry": KEY.hex(), "kind": "exact", "right": "yes"})
        assert judged.status_code == (303 if may(role, "judge") else 403)


async def test_an_empty_cache_says_how_to_fill_it(database: Database):
    async with cache_page(database) as client:
        page = (await client.get("/cache")).text
    assert "curl" in page
    assert "none judged yet" in page
