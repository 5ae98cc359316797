"""Marks: whoever polls looks back for late commits for a while, and then no more."""

from neuralrouting.accounts.marks import OVERLAP_MS, Mark

NOW_S = 5_000.0
OVERLAP_S = OVERLAP_MS / 1_000


def test_at_first_everything_is_asked_for():
    assert Mark().since_ms(NOW_S) <= 0


def test_after_a_change_the_next_polls_look_back_for_late_commits():
    mark = Mark()
    mark.see(1_000_000, NOW_S)
    mark.see(999_000, NOW_S + 1)
    for later_s in (0.0, 1.0, OVERLAP_S):
        assert mark.since_ms(NOW_S + later_s) == 1_000_000 - OVERLAP_MS


def test_once_it_is_quiet_only_the_last_change_is_read_again():
    mark = Mark()
    mark.see(1_000_000, NOW_S)
    assert mark.since_ms(NOW_S + OVERLAP_S + 0.1) == 1_000_000
    mark.see(1_000_001, NOW_S + 60)
    assert mark.since_ms(NOW_S + 61) == 1_000_001 - OVERLAP_MS
