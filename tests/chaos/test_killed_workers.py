"""`kill -9` under load: whatever a worker was doing, its books are finished by another, and nobody pays twice."""

import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from arena import DEAR, FULL, RATE, USAGE_TOKENS, Arena, suite_or_full, tell
from storm import Storm, storm_over

KILLS = {1: suite_or_full(1, 200), 2: suite_or_full(3, 200)}
"""By the number of workers, in each arena: eight in the suite, all in all."""
RICH_MC = 10**12
CRASH_LOOP_S = 6.5
"""Granian ends the gateway when a worker dies within 5.5 s of being replaced, and remembers the last one only."""
CLOSED_WITHIN_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Kills:
    """What killing came to: how long each dead worker's books stayed open, in seconds."""

    open_s: list[float]

    def told(self) -> str:
        ordered = sorted(self.open_s)
        middle = ordered[len(ordered) // 2]
        return (
            f"{len(ordered)} kills; the dead one's books were closed after {middle:.1f} s, at most {ordered[-1]:.1f} s"
        )


def kill_workers(arena: Arena, times: int) -> Kills:
    """Kill one worker after the other, whatever it does: serve, start, or settle what another one left."""
    open_since: dict[str, float] = {}
    kills, killed, last_s = Kills([]), 0, boot_s()
    while killed < times or open_since:
        victim = victim_of(arena, last_s) if killed < times else None
        if victim is not None:
            id_, pid = victim
            last_s = boot_s()
            os.kill(pid, signal.SIGKILL)
            open_since[id_] = time.monotonic()
            killed += 1
        due_s = time.monotonic() + random.uniform(0.2, 2.5 if FULL else 0.8)
        while time.monotonic() < due_s:
            for id_ in [id_ for id_ in open_since if not (arena.gateway.data_dir / "journals" / id_).exists()]:
                kills.open_s.append(time.monotonic() - open_since.pop(id_))
            time.sleep(0.05)
        assert all(time.monotonic() - since_s < CLOSED_WITHIN_S for since_s in open_since.values()), "left lying"
        assert boot_s() - last_s < 3 * CLOSED_WITHIN_S, "no worker is left"
    return kills


def victim_of(arena: Arena, last_s: float) -> tuple[str, int] | None:
    """A worker whose death Granian will not take for a crash loop: not the one that replaced the last victim."""
    now_s = boot_s()
    for id_, pid in arena.worker_ids().items():
        if (began_s := start_s(pid)) is not None and (began_s < last_s or now_s - began_s > CRASH_LOOP_S):
            return id_, pid
    return None


def boot_s() -> float:
    """Seconds since the machine began, as the times of processes are told."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start_s(pid: int) -> float | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19]) / _TICKS_PER_S


def test_a_killed_worker_loses_no_settled_answer_and_charges_none_twice(arena: Arena):
    payer = arena.new_payer(RICH_MC)
    made_before = arena.answers_made()
    with storm_over(arena, payer) as storm:
        time.sleep(1)
        kills = kill_workers(arena, KILLS[arena.workers])
        time.sleep(1)
    arena.wait_until_whole()
    made = arena.answers_made() - made_before
    tell(f"{kills.told()}\n{storm.told()}")
    check_books(arena, storm, made)


def check_books(arena: Arena, storm: Storm, made: int) -> None:
    """Every whole answer is paid once, at its price; what was made and is not paid was never got whole."""
    assert storm.hung == 0
    assert not any(status == 402 for status, _ in storm.refused), "a rich account was called poor"
    assert arena.breaches() == []
    account_id = storm.payer.account_id
    rows = arena.fetch("SELECT request_id, hold_state, charged_mc FROM requests WHERE account_id = $1", account_id)
    paid = arena.fetch("SELECT ref, delta_mc FROM ledger WHERE account_id = $1 AND kind = 'usage'", account_id)
    settled = {row[0] for row in rows if row[1] == "settled"}
    charged = {str(ref): -int(str(delta_mc)) for ref, delta_mc in paid}
    assert len(charged) == len(paid)
    assert charged.keys() == settled
    assert len(storm.whole) == len(set(storm.whole)) > 0
    assert set(storm.whole) <= settled
    assert {charged[id_] for id_ in storm.whole} == {RATE[DEAR] * USAGE_TOKENS}
    unpaid = made - len(settled)
    tell(f"{made} answers made, {len(settled)} paid, {len(rows)} rows, {unpaid} made and not paid")
    assert unpaid <= storm.broken
    balance = arena.balance(storm.payer)
    assert balance.posted_mc == RICH_MC - sum(charged.values())
