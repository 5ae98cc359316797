"""The tables about routing, and the traffic mix at which a claim about offload becomes true."""

from collections.abc import Callable
from statistics import fmean
from typing import Any, NamedTuple

from .rates import percents, spread, table

CLAIMED = 0.7
"""Share of the requests that "70 % offload at no loss" speaks of."""
BUDGET = 0.01
"""Relative loss of quality that counts as none."""
TRAFFIC = {"GSM8K": 0.5, "MMLU": 0.2, "CRUX": 0.15, "BFCL": 0.1, "MATH level 5": 0.05}
"""A mix of requests that was fixed before anything was measured on it."""
CONTROLS = {
    "always_cheapest": "always the cheapest",
    "always_premium": "always the premium",
    "fixed_split": "best fixed split",
    "random_split": "random split",
    "shuffled": "shuffled router",
}
REPLAY_CONTROLS = {
    "always_cheapest": "always the cheapest",
    "always_premium": "always the reference",
    "static_threshold": "simplest prompts by the classifier, as many as the matrix sent",
    "naive_mean": "mean difference within the margin after 20 audits",
    "thompson": "Thompson sampling, which explores by serving",
}


class Offload(NamedTuple):
    """Shares of requests and of tokens that leave the premium model."""

    requests: float
    tokens: float


def learned(facts: dict[str, Any]) -> str:
    """How well each pair is ordered, and what its frozen point brought."""
    rows = [[name, *_ordered(one), *_frozen(one)] for name, one in facts["routing"]["pairs"].items()]
    head = ["pair", "learned from / judged", "APGR", "shuffled", "CPT 50 / 80 / 95", "saved", "loss", "splits over 1 %"]
    return table([*head, "offload, requests / tokens"], rows)


def _ordered(one: dict[str, Any]) -> list[str]:
    cpt = " / ".join(f"{one['cpt'][percent]:.0f}" for percent in ("50", "80", "95"))
    shuffled = f"{one['controls']['shuffled']['apgr']:.3f}"
    return [f"{one['labels']:,} / {one['rows']:,}", spread(one["apgr"], digits=3), shuffled, f"{cpt} %"]


def _frozen(one: dict[str, Any]) -> list[str]:
    away = offload(one)
    over = sum(loss > BUDGET for loss in one["loss"])
    return [
        percents(one["saved"]),
        percents(one["loss"]),
        f"{over} of {len(one['loss'])}",
        f"{_share(away.requests)} / {_share(away.tokens)}",
    ]


def controls(facts: dict[str, Any]) -> str:
    """What the plain alternatives save and lose; the last three save as much as the router."""
    fields = {**facts["routing"]["pairs"], "ZeroEval, five tiers": facts["routing"]["tiers"]}
    rows = [
        [name, _both(fmean(one["saved"]), fmean(one["loss"])),
         *(_both(one["controls"][control]["saved"], one["controls"][control]["loss"]) for control in CONTROLS)]
        for name, one in fields.items()
    ]  # fmt: skip
    return table(["saved / loss", "this router", *CONTROLS.values()], rows)


def tiers(facts: dict[str, Any]) -> str:
    """Five tiers: what was promised, what came, and who answered."""
    one = facts["routing"]["tiers"]
    promised = one["promised"]
    rows = [
        ["learned from / judged", f"{one['labels']:,} / {one['rows']:,}"],
        ["promised when frozen: saved / loss / bound of the loss",
         f"{_share(promised['saved'])} / {_loss(promised['loss'])} / {_loss(promised['loss_upper'])}"],
        ["saved", percents(one["saved"])],
        ["loss", percents(one["loss"])],
        ["splits that lost more than 1 %", f"{sum(loss > BUDGET for loss in one['loss'])} of {len(one['loss'])}"],
        ["upper end of the loss's bootstrap interval, mean", _loss(fmean(one["loss_upper"]))],
        *([f"answered by {name}", _share(share)] for name, share in one["by_model"].items()),
    ]  # fmt: skip
    return table(["five tiers", ""], rows)


def replays(facts: dict[str, Any]) -> str:
    """The matrix on streams of traffic."""
    rows = [
        [name, f"{_loss(one['loss'])} ({100 * one['spread']['loss']:.2f})",
         f"{_share(one['net_saved'])} ({100 * one['spread']['net_saved']:.1f})",
         f"{_share(one['offload'])} / {_share(one['offload_tokens'])}",
         _share(one["audit_cost"]), _share(one["wrong_cells"]), _recovered(one)]
        for name, one in facts["routing"]["replays"].items()
    ]  # fmt: skip
    head = ["replay", "loss", "net saved", "offload, requests / tokens", "audits' cost", "wrongly promoted cells"]
    return table([*head, "requests to recover"], rows)


def _recovered(one: dict[str, Any]) -> str:
    if one["recovery_requests"] is None:
        return ""
    never = sum(requests is None for requests in one["recoveries"])
    return f"{one['recovery_requests']:,.0f}" + (f", never in {never} of {len(one['recoveries'])}" if never else "")


def replay_controls(facts: dict[str, Any]) -> str:
    """Other policies on the same streams, with and without a judge that errs."""
    plain, flipped = list(facts["routing"]["replays"].values())[:2]
    rows = [["the matrix", *_policy(plain), *_policy(flipped)]]
    for control, name in REPLAY_CONTROLS.items():
        rows.append([name, *_policy(plain["controls"][control]), *_policy(flipped["controls"][control])])
    for oracle, name in (("per_cell", "oracle of each cell's mean"), ("per_prompt", "oracle of each outcome")):
        own = plain["regret"][oracle]
        rows.append([name, _both(own["saved"], own["loss"]), "", "", ""])
    head = ["policy", "net saved / loss", "wrong cells", "with flips: net saved / loss", "wrong cells"]
    return table(head, rows)


def _policy(one: dict[str, Any]) -> list[str]:
    wrong = one.get("wrong_cells")
    return [_both(one["net_saved"], one["loss"]), "" if wrong is None else _share(wrong)]


def offload(one: dict[str, Any]) -> Offload:
    """What was offloaded at the frozen points, in the mean."""
    return Offload(fmean(one["offload_requests"]), fmean(one["offload_tokens"]))


def counted(one: dict[str, Any]) -> Offload:
    """The same where the mean loss kept within the budget; else nothing, because it was not without loss."""
    return offload(one) if fmean(one["loss"]) <= BUDGET else Offload(0.0, 0.0)


def easy_share(offloaded: float, claimed: float = CLAIMED) -> float:
    """The share of traffic that must be easy, all of it offloaded, for so much to be offloaded in all.

    Of the rest, `offloaded` leaves the premium model: s + (1 - s) * offloaded = claimed.
    """
    return max(0.0, (claimed - offloaded) / (1 - offloaded))


def hard(facts: dict[str, Any]) -> str:
    """What may be offloaded of each hard set, and how much easy traffic the claim needs beside it."""
    rows: list[list[str]] = []
    for name, one in facts["routing"]["hard"].items():
        away = counted(one)
        cheapest = one["controls"]["always_cheapest"]["loss"]
        lost = f"{100 * fmean(one['loss']):.3f} %"
        rows.append([name, " ".join(one["by_model"]), f"{one['labels']:,}", _loss(cheapest), lost,
                     *map(_share, offload(one)), *(_share(easy_share(share)) for share in away)])  # fmt: skip
    head = ["hard set", "economy model", "labels", "loss if all is offloaded", "loss at the frozen point"]
    return table([*head, "offload, requests", "tokens", "easy share needed, requests", "tokens"], rows)


def mixed(facts: dict[str, Any], offloaded: Callable[[dict[str, Any]], Offload]) -> Offload:
    """What is offloaded of the mix that was fixed beforehand."""
    sets = [(share, facts["routing"]["hard"][name]) for name, share in TRAFFIC.items()]
    requests = sum(share * offloaded(one).requests for share, one in sets)
    tokens = sum(share * one["tokens"] * offloaded(one).tokens for share, one in sets)
    return Offload(requests, tokens / sum(share * one["tokens"] for share, one in sets))


def mixed_loss(facts: dict[str, Any]) -> float:
    """What all that is offloaded of the mix loses, in the mean and relative to the premium models' quality."""
    lost = total = 0.0
    for name, share in TRAFFIC.items():
        one = facts["routing"]["hard"][name]
        quality = share * one["controls"]["always_premium"]["quality"]
        lost, total = lost + quality * fmean(one["loss"]), total + quality
    return lost / total


def mix(facts: dict[str, Any]) -> str:
    """The easy share that the mix needs: without the sets that lose more than the budget, and with them."""
    rows = [
        [f"{unit}, {sets}", _share(share), _share(easy_share(share)), _share(1 - easy_share(share))]
        for sets, offloaded in (("sets within 1 % alone", counted), ("all sets", offload))
        for unit, share in zip(("requests", "tokens"), mixed(facts, offloaded), strict=True)
    ]
    return table(
        ["the mix, by", "offloaded of it", "easy share needed", "at most this much of the mix beside it"], rows
    )


def decision(facts: dict[str, Any]) -> str:
    """How long a whole decision takes."""
    found = facts["routing"]["decision"]
    rows = [[name, f"{found[kind]['p50']:.0f}", f"{found[kind]['p99']:.0f}", f"{found[kind]['n']}"]
            for name, kind in (("prose", "prose"), ("varied", "real"))]  # fmt: skip
    return table(["1 KB of", "p50 us", "p99 us", "texts"], rows)


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _loss(loss: float) -> str:
    return f"{100 * loss:.2f} %"


def _both(saved: float, loss: float) -> str:
    return f"{100 * saved:.1f} / {100 * loss:.1f} %"
