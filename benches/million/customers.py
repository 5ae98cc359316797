"""Who asks: accounts with keys, teams, features and people, all of them visibly made up."""

import hashlib
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from neuralrouting.exchange import Budget, Role
from neuralrouting.storage.keys import KeyRow

ACCOUNTS: Final = ("default", "sample-retail", "sample-clinic", "sample-studio")
"""Account ids; the first is the largest. `default` is the one that `neuralrouting serve` makes keys for."""
SHARES: Final = (0.80, 0.12, 0.05, 0.03)
"""What part of all requests each account sends."""
PEOPLE: Final = 2_000
"""End users of the largest account; the others have fewer, by their share."""
TEST_KEYS: Final = 0.25
"""How often a test key is used for each time that a live one is: simulated answers are a small part."""
USD_A_REQUEST: Final = 0.002
"""About what a request of this mix costs; the budgets follow from it."""
METERED: Final = 1
"""The place of the account that pays by credits; the others' plan does not count them."""

_FIRST = (
    "ana", "ben", "cleo", "dario", "edda", "finn", "gita", "hugo", "ines", "jonas", "kira", "leo", "mara", "nils",
    "oda", "pavel", "quinn", "rosa", "sami", "tilda", "uma", "vito", "wanda", "xenia", "yuki", "zeno", "abel", "bruna",
    "carl", "dina", "emil", "fleur", "goran", "hedda", "ilja", "juna", "kaspar", "lotte", "milo", "nadia",
)  # fmt: skip
_LAST = (
    "acorn", "birch", "cedar", "dahlia", "elder", "fern", "gorse", "hazel", "iris", "juniper", "kelp", "laurel",
    "maple", "nettle", "olive", "poppy", "quince", "rowan", "sorrel", "thyme", "umbel", "violet", "willow", "yarrow",
    "aspen", "bramble", "clover", "daisy", "elm", "fennel", "ginger", "heather", "ivy", "jasmine", "larch", "mallow",
    "myrtle", "oak", "pine", "reed", "rush", "sage", "spruce", "tansy", "teasel", "vetch", "vine", "wheat", "yew",
    "zinnia",
)  # fmt: skip
_CENT_NANOUSD = 10_000_000
_ALPHABET = string.ascii_letters + string.digits
_KEYS = (
    ("owner", None, "owner", True), ("support-bot", "support", "member", True),
    ("support-mail", "support", "member", True), ("support-voice", "support", "member", True),
    ("campaigns", "growth", "member", True), ("seo", "growth", "member", True),
    ("experiments", "growth", "member", True), ("app-ios", "product", "member", True),
    ("app-android", "product", "member", True), ("app-web", "product", "member", True),
    ("app-beta", "product", "member", True), ("notebooks", "research", "member", True),
    ("pipelines", "research", "member", True), ("evaluation", "research", "member", True),
    ("crm", "sales", "member", True), ("proposals", "sales", "member", True),
    ("invoices", "back-office", "member", True), ("archive", "back-office", "member", True),
    ("staging", "product", "member", False), ("ci", "research", "member", False),
)  # fmt: skip
"""Name, team, role, live; those of a test key are answered by simulated models."""


@dataclass(frozen=True)
class Feature:
    """One thing that people use the gateway for, and what its requests look like.

    `prompt` and `answer` are the median tokens, `hard` how likely the premium tier is needed, `alike` how likely an
    equal or similar question was asked before.
    """

    name: str
    team: str
    task: str
    weight: float
    prompt: int
    answer: int
    complexity: float
    hard: float
    alike: float
    risk: str | None = None


FEATURES: Final = (
    Feature("support-chat", "support", "qa", 24, 420, 180, 2.6, 0.06, 0.38),
    Feature("ticket-triage", "support", "classification", 16, 310, 12, 1.4, 0.01, 0.22),
    Feature("reply-drafts", "support", "rewriting", 9, 640, 260, 3.4, 0.12, 0.05),
    Feature("product-copy", "growth", "creative", 7, 240, 420, 4.1, 0.22, 0.03),
    Feature("search-answers", "product", "qa", 14, 900, 140, 2.9, 0.10, 0.34),
    Feature("translate", "product", "translation", 8, 380, 390, 2.2, 0.03, 0.12),
    Feature("code-review", "research", "coding", 6, 2_300, 520, 7.2, 0.64, 0.01),
    Feature("sql-helper", "research", "coding", 4, 760, 210, 6.1, 0.46, 0.04),
    Feature("meeting-notes", "sales", "summarization", 5, 3_800, 340, 3.8, 0.14, 0.01),
    Feature("contract-check", "back-office", "reasoning", 3, 4_600, 610, 8.1, 0.86, 0.01, "legal"),
    Feature("invoice-fields", "back-office", "extraction", 3, 1_100, 90, 2.0, 0.04, 0.02),
    Feature("brainstorm", "sales", "chat", 1, 180, 300, 3.0, 0.15, 0.02),
)


@dataclass(frozen=True)
class Person:
    """One end user: name, the key and the features that she uses, and how often she asks."""

    name: str
    key: KeyRow
    features: tuple[Feature, ...]


@dataclass
class Customer:
    """One account. `people` are chosen by their cumulative `weights`; `owner_key` is the secret of its first key."""

    id: str
    name: str
    metered: bool
    owner_key: str
    keys: tuple[KeyRow, ...]
    people: tuple[Person, ...]
    weights: tuple[float, ...]
    budgets: tuple[Budget, ...] = ()
    requests: int = 0
    sessions: dict[str, tuple[str, int]] = field(default_factory=dict)


def customers(accounts: Sequence[str], made_ms: int, random: Random, daily: float) -> list[Customer]:
    """Return the accounts of these ids, the largest first, which send about so many requests a day together."""
    usd = [USD_A_REQUEST * daily * share for share in shares(len(accounts))]
    return [_customer(place, id_, made_ms, random, usd[place]) for place, id_ in enumerate(accounts)]


def shares(count: int) -> list[float]:
    """Return what part of all requests each of so many accounts sends."""
    given = [SHARES[place] if place < len(SHARES) else SHARES[-1] / 2 for place in range(count)]
    return [share / sum(given) for share in given]


def _customer(place: int, account_id: str, made_ms: int, random: Random, daily_usd: float) -> Customer:
    minted = [_key(account_id, made_ms, told, random) for told in (_KEYS if place == 0 else _KEYS[:: 2 + place])]
    keys = tuple(key for _, key in minted)
    count = PEOPLE if place == 0 else max(12, int(PEOPLE * SHARES[min(place, len(SHARES) - 1)]))
    people = tuple(_person(number, keys, random) for number in range(count))
    total, weights = 0.0, list[float]()
    for rank in range(count):
        total += 1 / (rank + 8)
        weights.append(total)
    name = account_id.replace("-", " ").title()
    metered = place == METERED
    budgets = _budgets(account_id, daily_usd)
    return Customer(account_id, name, metered, minted[0][0], keys, people, tuple(weights), budgets)


def _key(account_id: str, made_ms: int, told: tuple[str, str | None, str, bool], random: Random) -> tuple[str, KeyRow]:
    """Make a key as `accounts.keys.mint` does, but out of the seed: the same run has the same keys."""
    name, team, role, live = told
    id_ = "".join(random.choices(_ALPHABET, k=12))
    head = f"{'nr_live_' if live else 'nr_test_'}{id_}_{''.join(random.choices(_ALPHABET, k=43))}"
    secret = f"{head}_{zlib.crc32(head.encode()):08x}"
    shown: Role = "owner" if role == "owner" else "member"
    digest = hashlib.sha256(secret.encode()).digest()
    return secret, KeyRow(id_, account_id, name, live, digest, secret[-4:], made_ms, role=shown, team=team)


def _person(number: int, keys: Sequence[KeyRow], random: Random) -> Person:
    first, last = _FIRST[number % len(_FIRST)], _LAST[number // len(_FIRST) % len(_LAST)]
    [key] = random.choices(keys, weights=[1.0 if key.live else TEST_KEYS for key in keys])
    own = [feature for feature in FEATURES if feature.team == key.team] or list(FEATURES)
    used = random.choices(own, weights=[feature.weight for feature in own], k=2)
    used += random.choices(FEATURES, weights=[feature.weight for feature in FEATURES], k=1)
    return Person(f"{first}.{last}@example.com", key, tuple(dict.fromkeys(used)))


def _budgets(account_id: str, daily_usd: float) -> tuple[Budget, ...]:
    """Return budgets that are well used: some nearly spent, for a few users more than that."""

    def limit(days: float) -> int:
        return max(1, round(days * daily_usd * 100)) * _CENT_NANOUSD

    head = f"budget-{account_id}"
    return (
        Budget(f"{head}-month", account_id, "Everything", "account", "", "month", limit(33), "warn"),
        Budget(f"{head}-each-user", account_id, "Each user", "user", "*", "month", limit(0.12), "downgrade"),
        Budget(f"{head}-each-team", account_id, "Each team", "team", "*", "week", limit(3.2), "warn"),
        Budget(f"{head}-copy", account_id, "Product copy", "feature", "product-copy", "month", limit(2.4), "block"),
        Budget(f"{head}-gpt-4o", account_id, "GPT-4o", "model", "gpt-4o", "day", limit(0.6), "downgrade"),
    )
