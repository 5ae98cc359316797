"""The tables of the page, one function each."""

from collections import Counter
from typing import Any

from neuralrouting.engine import classify

from .bars import families, left_out, pairs, transforms
from .rates import Rate, table
from .weights import taught

SCOPES = {
    "form": "explicit override, persona, extraction, tags: its job",
    "mixed": "noisy labels, word games round a password",
    "semantic": "attacks without a form of words: not expected to be seen",
    "content": "plainly harmful, no injection: should not fire",
    "mention": "documents about injection, from a tool: flag at most",
    "benign": "ordinary texts",
}
CATEGORIES_MOST = 20
"""CheckList has a category for each of its templates, with thirty pairs in it: one by one they say little."""
STEPS = ("0 to 2", "2 to 4", "4 to 6", "6 to 8", "8 to 10")


def scopes(facts: dict[str, Any]) -> str:
    """Block and flag by scope, never put together."""
    found = facts["shield"]["plain"]["scopes"]
    return table(
        ["scope", "what it holds", "blocked", "flagged or blocked"],
        [
            [name, meaning, *(Rate.of(found[name][kind], found[name]["n"]).told for kind in ("block", "flag"))]
            for name, meaning in SCOPES.items()
        ],
    )


def form(facts: dict[str, Any]) -> str:
    """The families of form under three shields."""
    columns = [left_out(facts, "block", column) for column in ("rules_alone", "left_out", "all")]
    flags = left_out(facts, "flag")
    return table(
        ["family", "rows", "rules alone: block", "family left out: block", "family left out: flag", "all: block"],
        [
            [f"`{name}`", f"{rate.n:,}", rate.percent, columns[1][name].told, flags[name].percent, shipped.told]
            for (name, rate), shipped in zip(columns[0].items(), columns[2].values(), strict=True)
        ],
    )


def families_of(facts: dict[str, Any], scope: str) -> list[list[str]]:
    """One line for each family of a scope."""
    blocks, flags = families(facts, scope, "block"), families(facts, scope, "flag")
    seen = facts["shield"]["taught"]
    return [
        [scope, f"`{name}`", f"{seen.get(f'{scope}/{name}', 0):,} of {blocks[name].n:,}", blocks[name].told,
         flags[name].told]
        for name in blocks
    ]  # fmt: skip


def every_family(facts: dict[str, Any]) -> str:
    """All families with the weights that ship."""
    rows = [row for scope in SCOPES for row in families_of(facts, scope)]
    return table(["scope", "family", "taught the model", "blocked", "flagged or blocked"], rows)


def transformed(facts: dict[str, Any]) -> str:
    """Every transform, weakest first."""
    blocks, flags = transforms(facts), transforms(facts, kind="flag")
    controls, flagged = transforms(facts, "benign"), transforms(facts, "benign", "flag")
    names = sorted(blocks, key=lambda name: (blocks[name].share, name))
    return table(
        ["transform", "blocked", "flagged or blocked", "controls blocked", "controls flagged"],
        [
            [name, blocks[name].told, flags[name].percent, str(controls[name].hits), str(flagged[name].hits)]
            for name in names
        ],
    )


def tasks(facts: dict[str, Any]) -> str:
    """Task type by source: with what ships, and left out of training."""
    shipped = facts["classifier"]["task"]["per_source"]
    unseen, teachers = facts["judges"]["classify"]["left_out"]["task"]["sources"], taught("classify")
    rows: list[list[str]] = []
    for name, one in shipped.items():
        eleven = unseen[name]["labels_11"]
        told = [Rate.of(one["accuracy"], one["n"]).told, Rate(eleven["right"], eleven["n"]).told]
        rows.append([f"`{name}`", "yes" if name in teachers else "no", *told, f"{eleven['macro_f1']:.2f}"])
    head = ["source", "taught the model", "accuracy as shipped", "source left out", "mean F1, left out"]
    return table(head, rows)


def selective(facts: dict[str, Any]) -> str:
    """Accuracy where only the surest part is answered."""
    shipped = facts["classifier"]["human"]
    unseen = facts["judges"]["classify"]["left_out"]["task"]["selective"]
    return table(
        ["answered", "accuracy as shipped", "source left out"],
        [
            [
                f"{percent} %",
                Rate.of(share, shipped["n"] * int(percent) // 100).told,
                Rate(unseen[percent]["right"], unseen[percent]["n"]).told,
            ]
            for percent, share in shipped["selective"].items()
        ],
    )


def confusion(facts: dict[str, Any]) -> str:
    """Labels down, answers across, with the source left out."""
    found = facts["judges"]["classify"]["left_out"]["task"]["confusion"]
    names = [name for name, _ in classify("").probabilities]
    names.sort(key=lambda name: (name == "other", name))
    return table(
        ["label", *names],
        [[name, *(str(found[name].get(answer, 0)) for answer in names)] for name in names if name in found],
    )


def complexity(facts: dict[str, Any]) -> str:
    """Failures of the cheap model by complexity."""
    judged = facts["judges"]["classify"]["complexity"]
    columns = [facts["classifier"]["complexity"], judged["folds"]]
    bins = [[Rate(one["failures"], one["n"]).told for one in column["bins"]] for column in columns]
    head = ["complexity", "failures, weights that ship", "failures, five folds"]
    return table(head, [list(row) for row in zip(STEPS, *bins, strict=True)])


def rankings(facts: dict[str, Any]) -> str:
    """AUROC on parts and on other pairs of models."""
    judged = facts["judges"]["classify"]["complexity"]
    rows = [(f"without `{name}`, judged on it", one) for name, one in judged["without_source"].items()]
    rows += [(f"weights that ship on `{name}`", one) for name, one in judged["shipped_on"].items()]
    return table(
        ["what", "AUROC", "failures", "prompts"],
        [[name, f"{one['auroc']:.3f}", f"{one['failures']:,}", f"{one['n']:,}"] for name, one in rows],
    )


def risks(facts: dict[str, Any]) -> str:
    """Recall of high-risk prompts by source."""
    shipped, judged = facts["classifier"]["risk"]["per_source"], facts["judges"]["classify"]
    unseen, known, teachers = (
        judged["left_out"]["risk"]["high"],
        judged["in_source"]["risk"]["high"],
        taught("classify"),
    )
    rows: list[list[str]] = []
    for name, one in shipped.items():
        folds = [Rate(known[name]["above"], known[name]["n"]).told] if name in known else [""]
        left_out = Rate(unseen[name]["above"], unseen[name]["n"]).told
        told = [Rate.of(one["recall"], one["n"]).told, *folds, left_out]
        rows.append([f"`{name}`", "yes" if name in teachers else "no", *told])
    head = ["source", "taught the model", "flagged as shipped", "source known, five folds", "source left out"]
    return table(head, rows)


def calm(facts: dict[str, Any]) -> str:
    """False alarms by source."""
    shipped = facts["classifier"]["risk"]["fpr_per_source"]
    unseen, teachers = facts["judges"]["classify"]["left_out"]["risk"]["calm"], taught("classify")
    rows: list[list[str]] = []
    for name, one in shipped.items():
        rates = [Rate.of(one["fpr"], one["n"]), Rate(unseen[name]["above"], unseen[name]["n"])]
        rows.append([f"`{name}`", "yes" if name in teachers else "no", *(rate.told for rate in rates)])
    head = ["source", "taught the model", "flagged as shipped", "known by halves, at 5 % over all"]
    return table(head, rows)


def latency(facts: dict[str, Any]) -> str:
    """Microseconds by size."""
    scan = facts["latency"]["scan"]
    rows = [
        [
            f"scan {size}",
            *(f"{scan[kind][size][at]:,.0f}" for kind in ("prose", "real") for at in ("p50", "p99")),
            f"{scan['real'][size]['n']}",
        ]
        for size in scan["prose"]
    ]
    for name in ("classify", "inspect"):
        one = facts["latency"][name]
        times = [f"{one[kind][at]:,.0f}" for kind in ("prose", "real") for at in ("p50", "p99")]
        rows.append([f"{name} 1 KB", *times, f"{one['real']['n']}"])
    return table(["us", "prose p50", "prose p99", "varied p50", "varied p99", "varied texts"], rows)


def hostile(facts: dict[str, Any]) -> str:
    """The ten texts that aim at the shield."""
    return table(
        ["1 MB of", "ms", "x prose", "x half of it"],
        [
            [one["name"], f"{one['ms']:.1f}", f"{one['slowdown']:.2f}", f"{one['doubling']:.2f}"]
            for one in facts["latency"]["hostile"]
        ],
    )


def cache(facts: dict[str, Any]) -> str:
    """Every file of pairs, and its categories where they are few."""
    rows: list[list[str]] = []
    for embedder, reports in facts["cache"].items():
        for name, one in reports.items():
            rows.append([embedder, f"`{name}`", *_served(one)])
            if 1 < len(one["by_category"]) <= CATEGORIES_MOST:
                rows += [["", category, *_served(own)] for category, own in one["by_category"].items()]
    return table(["decides", "pairs", "same answer: served", "other answer: served"], rows)


def _served(one: dict[str, Any]) -> list[str]:
    return ["" if one[kind] is None else pairs(one, kind).told for kind in ("hit_true", "wrong_false")]


def levels(facts: dict[str, Any]) -> str:
    """Which level served, rightly and wrongly, and what that took."""
    rows: list[list[str]] = []
    for embedder, reports in facts["cache"].items():
        for name, one in reports.items():
            levels = [f"{level['true']:,} / {level['false']:,}" for level in one["by_kind"].values()]
            times = [_times(one.get(kind)) for kind in ("lookup_us", "decide_us")]
            rows.append([embedder, f"`{name}`", *levels, *times])
    head = [
        "decides",
        "pairs",
        "exact",
        "canonical",
        "semantic",
        "look-up p50 / p99, us",
        "second embedder p50 / p99, us",
    ]
    return table(head, rows)


def _times(one: dict[str, Any] | None) -> str:
    return "" if one is None or one["p50"] is None else f"{one['p50']:,.0f} / {one['p99']:,.0f}"


def refusals(facts: dict[str, Any]) -> str:
    """Why pairs with the same answer were not served, most frequent first."""
    counts: Counter[str] = Counter()
    for one in facts["cache"]["builtin"].values():
        counts.update(one["missed_true"])
    return table(["reason", "pairs with the same answer"], [[f"`{why}`", f"{n:,}"] for why, n in counts.most_common()])
