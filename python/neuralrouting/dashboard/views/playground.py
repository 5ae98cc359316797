"""The playground: what every layer makes of a prompt, and its answer, by the same way as the API's requests."""

import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final, Protocol

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.carrier import CarriedResponse, Kept
from neuralrouting.api.door import Door
from neuralrouting.api.figures import money
from neuralrouting.api.hot import Client
from neuralrouting.api.room import Room
from neuralrouting.api.shapes import CHAT_PATH
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard.page import Ask, Deed, Form, Page, Service, Shown, again
from neuralrouting.dashboard.routes import read_form
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.dashboard.views.layers import Layers
from neuralrouting.dashboard.views.question import FIELDS, Question, commands, question_of
from neuralrouting.errors import NeuralRoutingError
from neuralrouting.exchange import Arrival, JsonObject
from neuralrouting.pipeline.explaining import Explaining
from neuralrouting.rules.values import MODES

KEY: Final = "dashboard"
"""What stands in the place of a key's id: keys have twelve letters, so that none is called so."""
_HEADERS: Final = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
_NANO: Final = 1_000_000_000


class Route(Protocol):
    """The hot route of chat completions."""

    async def serve(self, arrival: Arrival, read: Callable[[], Awaitable[bytes]], protocol: Client) -> None:
        """Serve one request of somebody who is known. Raises NeuralRoutingError before the first byte only."""
        ...


class PlaygroundParts(msgspec.Struct, frozen=True):
    """What the playground asks: the same parts as the API. `address` is where the gateway is reached, for commands."""

    door: Door
    room: Room
    route: Route
    explaining: Explaining
    layers: Layers
    catalog: Catalog
    address: str


class Playground:
    """Explains and runs prompts for whoever is signed in, on their account."""

    def __init__(self, parts: PlaygroundParts) -> None:
        self._parts = parts
        catalog = parts.catalog
        self._models = [VIRTUAL_MODELS[0], *sorted({d.id for d in (*catalog.servable, *catalog.by_name_only)})]

    def page(self) -> Page:
        """Return the page."""
        return Page("playground", "Playground", "play", self.body, filters=False)

    def deeds(self) -> list[Deed]:
        """Return what its form does."""
        return [Deed("/playground", "play", self.do, "")]

    def services(self) -> list[Service]:
        """Return where its script has an answer streamed from."""
        return [Service("/playground/run", "play", self.run, ("POST",))]

    async def body(self, _ask: Ask) -> JsonObject:
        """Return the page before anything is asked."""
        return self._body({})

    async def do(self, viewer: Viewer, form: Form) -> Shown:
        """Explain what was typed, and have it answered as a whole where the form says `run`."""
        body, status = self._body(form), 200
        try:
            question = question_of(form)
            body["commands"] = commands(question, self._parts.address)
            body |= await self._explained(viewer, question)
            if form.get("do") == "run":
                body["answer"] = await self._whole(viewer, question)
        except NeuralRoutingError as error:
            body["problem"], status = error.envelope()["error"], error.status
        else:
            answer: JsonObject | None = body["answer"]
            if answer is not None and "error" in answer:
                body |= {"problem": answer["error"], "answer": None}
                status = answer["status"]
        return again(self.page(), viewer, body, unix_ms(), status)

    async def run(self, request: Request, viewer: Viewer) -> Response:
        """Stream the answer as the API streams it."""
        started_ns = time.perf_counter_ns()
        question = question_of(await read_form(request))
        arrival = await self._arrival(viewer, question, started_ns)
        return CarriedResponse(lambda client: self._serve(arrival, question.body(stream=True), client), _HEADERS)

    def _body(self, form: Form) -> JsonObject:
        return {
            "object": "page.playground",
            "form": {name: form.get(name) for name in FIELDS},
            "choices": {"modes": MODES, "models": self._models},
            "problem": None,
            "layers": None,
            "decision": None,
            "answer": None,
            "commands": None,
        }

    async def _explained(self, viewer: Viewer, question: Question) -> JsonObject:
        arrival = await self._arrival(viewer, question, time.perf_counter_ns())
        explained = self._parts.explaining.timed(question.body(stream=False), arrival)
        return {
            "decision": msgspec.to_builtins(explained.decision),
            "layers": self._parts.layers.told(viewer.account_id, explained),
        }

    async def _whole(self, viewer: Viewer, question: Question) -> JsonObject:
        arrival, kept = await self._arrival(viewer, question, time.perf_counter_ns()), Kept()
        await self._serve(arrival, question.body(stream=False), kept)
        return answer_of(kept)

    async def _arrival(self, viewer: Viewer, question: Question, started_ns: int) -> Arrival:
        door = self._parts.door
        caller = msgspec.structs.replace(viewer.caller, key_id=KEY)
        return await door.arrival_of(caller, door.request_id(), CHAT_PATH, question.headers(), started_ns)

    async def _serve(self, arrival: Arrival, body: bytes, client: Client) -> None:
        async def read() -> bytes:
            return body

        await self._parts.room.enter()
        try:
            await self._parts.route.serve(arrival, read, client)
        finally:
            self._parts.room.leave()


def answer_of(kept: Kept) -> JsonObject:
    """Return a whole answer as it is shown, or `error` and `status` where it is none."""
    told: JsonObject = orjson.loads(kept.body)
    if kept.status != 200:
        return {"error": told["error"], "status": kept.status}
    choice, headers, usage = told["choices"][0], kept.headers, told.get("usage") or {}
    return {
        "text": (choice.get("message") or {}).get("content") or "",
        "finish_reason": choice.get("finish_reason"),
        "request_id": headers["x-nr-request-id"],
        "model": headers["x-nr-model"],
        "provider": headers["x-nr-provider"],
        "cache": headers["x-nr-cache"],
        "cascade": headers.get("x-nr-cascade"),
        "shield": headers.get("x-nr-shield"),
        "budget": headers.get("x-nr-budget"),
        "simulated": "x-nr-simulated" in headers,
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        **money("cost", _nanousd(headers["x-nr-cost-usd"])),
        **money("saved", _nanousd(headers["x-nr-saved-usd"])),
    }


def _nanousd(told: str) -> int | None:
    return None if told == "unpriced" else int(Decimal(told) * _NANO)
