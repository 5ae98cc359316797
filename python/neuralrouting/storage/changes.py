"""Marks of change: how workers that poll a table learn what is new in it."""


def next_change(table: str, now: str) -> str:
    """Return the SQL of a row's new `changed_ms` in this table, at the time that `now` (a placeholder) stands for.

    It is one more than every change so far, so that a clock that is behind cannot hide a change from whoever asks
    for what came after the last one.
    """
    at = f"CAST({now} AS BIGINT)"
    return f"(SELECT CASE WHEN MAX(changed_ms) >= {at} THEN MAX(changed_ms) + 1 ELSE {at} END FROM {table})"  # noqa: S608
