"""`/v1/routing/matrix`: what audits have shown of each model at each task, and the way to have it built anew."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import filters
from neuralrouting.api.access import AccountBook, account_of
from neuralrouting.api.answers import json_response
from neuralrouting.api.changelog import changed
from neuralrouting.api.figures import moment
from neuralrouting.api.premium import Evidence
from neuralrouting.evidence.matrix import Cell
from neuralrouting.exchange import Caller, JsonObject
from neuralrouting.layers.confidence import Confidence, Learned
from neuralrouting.pipeline.building import read_learned
from neuralrouting.storage.confidence import ConfidenceRow, ConfidenceRows

Rebuild = Callable[[str], Awaitable[ConfidenceRow]]


class ConfidenceMatrix:
    """Shows the matrix of an account as the database has it, and builds it on demand through `rebuild`."""

    def __init__(self, rows: ConfidenceRows, confidence: Confidence, rebuild: Rebuild, accounts: AccountBook) -> None:
        self._rows = rows
        self._confidence = confidence
        self._rebuild = rebuild
        self._accounts = accounts

    async def show(self, request: Request, caller: Caller) -> Response:
        """Tell every cell, by candidate and task."""
        return json_response(await self.matrix_of(await self._account(request, caller)))

    async def rebuild(self, request: Request, caller: Caller) -> Response:
        """Build it now; every worker serves by it within a second or two."""
        return json_response(await self.build(caller, await self._account(request, caller)))

    async def matrix_of(self, account_id: str) -> JsonObject:
        """Return the matrix of an account as it is shown."""
        return self._body(account_id, await self._rows.find(account_id))

    async def build(self, caller: Caller, account_id: str) -> JsonObject:
        """Build the matrix of an account now; return it as it is shown. Raises NotFound without a reference."""
        row = await self._rebuild(account_id)
        changed(caller, "matrix.rebuild", account=account_id, seq=row.seq)
        return self._body(account_id, row)

    async def _account(self, request: Request, caller: Caller) -> str:
        told = filters.parameters(request.query_params.multi_items())
        filters.refuse_unknown(told, ("account",))
        return await account_of(caller, told.get("account"), self._accounts)

    def _body(self, account_id: str, row: ConfidenceRow | None) -> JsonObject:
        return {
            "object": "routing.matrix",
            "account": account_id,
            **matrix_fields(row, self._confidence.reference),
            "settings": msgspec.to_builtins(self._confidence.settings),
        }


class MatrixProofs:
    """Proofs as this worker's matrices have them."""

    def __init__(self, confidence: Confidence) -> None:
        self._confidence = confidence

    def evidence(self, account_id: str, model: str, task: str) -> Evidence | None:
        """Return what an account's audits have shown of a deployment at a task, None where there are none."""
        cell = self._confidence.cell(account_id, model, task)
        return None if cell is None else Evidence(int(cell.n), cell.low, cell.high, cell.state == "proven")


def matrix_fields(row: ConfidenceRow | None, reference: str | None) -> JsonObject:
    """Return what is shown of a matrix. `reference` None: nothing is compared here.

    `state` is `learned` where it serves, `priors` where there is none or it is about another reference, `broken` where
    it cannot be read.
    """
    learned: Learned | None = None
    broken = False
    if row is not None:
        try:
            learned = read_learned(row.matrix)
        except ValueError:
            broken = True
    serves = learned is not None and bool(learned.matrix.cells) and reference in (None, learned.reference)
    return {
        "state": "broken" if broken else "learned" if serves else "priors",
        "seq": row.seq if row is not None else None,
        "built": moment(row.built_ms) if row is not None else None,
        "reference": learned.reference if learned is not None else reference,
        "audits": learned.audits if learned is not None else 0,
        "feedback": learned.feedback if learned is not None else 0,
        "predicted": list(learned.heads) if learned is not None else [],
        "judges": msgspec.to_builtins(learned.judges) if learned is not None else {},
        "cells": [cell_fields(cell) for cell in cells_of(learned)],
    }


def cells_of(learned: Learned | None) -> list[Cell]:
    """Return all cells, by candidate and task."""
    rows = learned.matrix.cells if learned is not None else {}
    return [rows[candidate][task] for candidate in sorted(rows) for task in sorted(rows[candidate])]


def cell_fields(cell: Cell) -> JsonObject:
    """Return one cell as it is shown; differences are rounded to what can be read."""
    return {
        "candidate": cell.candidate,
        "task": cell.task,
        "state": cell.state,
        "n": round(cell.n, 2),
        "mean": round(cell.mean, 4),
        "low": round(cell.low, 4),
        "high": round(cell.high, 4),
        "probability": round(cell.probability, 4),
        "needed": cell.needed,
        "sent": round(cell.sent, 4),
        "drifted": cell.drifted,
        "since": moment(cell.since) if cell.since else None,
    }
