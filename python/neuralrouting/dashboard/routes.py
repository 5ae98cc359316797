"""Pages, forms and services as routes: who may, what was asked, which answer; every failure as a page or as JSON."""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from neuralrouting.api import filters
from neuralrouting.api.answers import error_response, json_response
from neuralrouting.clock import unix_ms
from neuralrouting.dashboard import charts
from neuralrouting.dashboard.filterbar import PARAMETERS, read_bar
from neuralrouting.dashboard.origin import refuse_foreign
from neuralrouting.dashboard.page import Ask, Deed, Form, Page, Service, Shown, link
from neuralrouting.dashboard.render import HEADERS, Renderer
from neuralrouting.dashboard.tables import csv_of
from neuralrouting.dashboard.viewer import Gate, Viewer
from neuralrouting.errors import AuthenticationError, InvalidField, NeuralRoutingError, NotFound

MAX_FIELDS = 100
_LOCAL = {"chosen", "done", "table"}
"""Parameters of the frame itself: the bar was sent as a form, what a form did, which table."""
_Answer = Callable[[Request], Awaitable[Response]]


class Pages:
    """Serves pages. What is wrong is told as a page, or in OpenAI's envelope where no page was asked for."""

    def __init__(self, gate: Gate, renderer: Renderer) -> None:
        self._gate = gate
        self._renderer = renderer
        renderer.add(charts=charts)
        self._said: dict[str, str] = {}

    def routes(self, pages: Sequence[Page], deeds: Sequence[Deed], services: Sequence[Service]) -> list[Route]:
        """Return every route of these."""
        self._renderer.navigation(pages)
        self._said |= {deed.path: deed.said for deed in deeds}
        found: list[Route] = []
        for page in pages:
            # In this order: `/requests/x.json` is not the request `x.json`.
            found.append(Route(f"{_stem(page)}.json", self._json(page), methods=["GET"]))
            if page.tables:
                found.append(Route(f"{_stem(page)}.csv", self._csv(page), methods=["GET"]))
            found.append(Route(page.address, self._html(page), methods=["GET"]))
        found += [Route(deed.path, self._deed(deed), methods=["POST"]) for deed in deeds]
        # Services first: `/requests/tail` is not the request `tail`.
        return [
            *(Route(service.path, self._service(service), methods=list(service.methods)) for service in services),
            *found,
        ]

    def _html(self, page: Page) -> _Answer:
        async def answer(request: Request) -> Response:
            viewer = None
            try:
                viewer = await self._gate.viewer(request)
                if viewer is None:
                    return _to_login(request)
                viewer.need(page.right)
                told = filters.parameters(request.query_params.multi_items())
                if "chosen" in told:  # a form sends what was left empty, too: say the same in a shorter address
                    kept = {name: value for name, value in told.items() if value and name != "chosen"}
                    return RedirectResponse(link(request.scope["path"], **kept), 303, headers=HEADERS)
                ask = _ask(page, request, viewer, told)
                body = await page.body(ask)
            except NeuralRoutingError as error:
                return self._failed(error, viewer)
            # Only what a form of ours can say: a link from elsewhere puts no words into our mouth.
            done = self._said.get(told.get("done", ""), "")
            here = link(request.scope["path"], **{name: value for name, value in told.items() if name != "done"})
            context = {"page": page, "ask": ask, "bar": ask.bar, "body": body, "done": done, "here": here}
            return self._renderer.page(page.template, page.title, viewer, context)

        return answer

    def _json(self, page: Page) -> _Answer:
        async def answer(request: Request) -> Response:
            try:
                ask = await self._asked(page, request)
                response = json_response(await page.body(ask))
            except NeuralRoutingError as error:
                return error_response(error)
            response.headers["cache-control"] = "no-store"
            return response

        return answer

    def _csv(self, page: Page) -> _Answer:
        async def answer(request: Request) -> Response:
            try:
                ask = await self._asked(page, request)
                name = ask.told.get("table", next(iter(page.tables)))
                table = page.tables.get(name)
                if table is None:
                    raise InvalidField(f"`table` must be one of {', '.join(page.tables)}", param="table")
                blocks = table.stream(ask) if table.stream is not None else csv_of(table, await page.body(ask))
            except NeuralRoutingError as error:
                return error_response(error)
            headers = {
                "content-disposition": f'attachment; filename="{page.name}-{name}.csv"',
                "x-content-type-options": "nosniff",
                "cache-control": "no-store",
            }
            return StreamingResponse(blocks, media_type="text/csv", headers=headers)

        return answer

    def _deed(self, deed: Deed) -> _Answer:
        async def answer(request: Request) -> Response:
            viewer = None
            try:
                viewer = await self._gate.viewer(request)
                if viewer is None:
                    return _to_login(request)
                refuse_foreign(request)
                viewer.need(deed.right)
                form = await read_form(request)
                done = await deed.do(viewer, form)
            except NeuralRoutingError as error:
                return self._failed(error, viewer)
            if isinstance(done, Shown):
                return self._renderer.page(done.template, done.title, viewer, done.context, done.status)
            to = done or local_path(form.get("back", "/"))
            mark = "&" if "?" in to else "?"
            return RedirectResponse(f"{to}{mark}{urlencode({'done': deed.path})}", 303, headers=HEADERS)

        return answer

    def _service(self, service: Service) -> _Answer:
        async def answer(request: Request) -> Response:
            try:
                refuse_foreign(request)
                viewer = await self._gate.viewer(request, keys=request.method == "GET")
                if viewer is None:
                    raise AuthenticationError("sign in first")
                viewer.need(service.right)
                return await service.answer(request, viewer)
            except NeuralRoutingError as error:
                return error_response(error)

        return answer

    async def _asked(self, page: Page, request: Request) -> Ask:
        viewer = await self._gate.viewer(request, keys=True)
        if viewer is None:
            raise AuthenticationError("sign in, or send an API key: `Authorization: Bearer nr_live_...`")
        viewer.need(page.right)
        return _ask(page, request, viewer, filters.parameters(request.query_params.multi_items()))

    def _failed(self, error: NeuralRoutingError, viewer: Viewer | None) -> Response:
        return self._renderer.page("error.html", "That did not work", viewer, {"error": error}, error.status)


async def read_form(request: Request) -> Form:
    """Read a form as browsers send it; a field that was left empty is not there. Raises InvalidField."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidField("send a form (application/x-www-form-urlencoded)", param="content-type")
    try:
        pairs = parse_qsl(
            (await request.body()).decode(), max_num_fields=MAX_FIELDS, strict_parsing=False, keep_blank_values=False
        )
    except ValueError:
        raise InvalidField("the form cannot be read", param="body") from None
    return filters.parameters(pairs)


def _ask(page: Page, request: Request, viewer: Viewer, told: filters.Told) -> Ask:
    taken = (*(PARAMETERS if page.filters else ()), *page.parameters, *_LOCAL)
    filters.refuse_unknown(told, taken)
    now_ms = unix_ms()
    if any("\0" in value for value in request.path_params.values()):
        raise NotFound("no such page")
    return Ask(viewer, read_bar(told if page.filters else {}, now_ms), told, request.path_params, now_ms)


def _stem(page: Page) -> str:
    return f"/{page.name}" if page.path is None or "{" not in page.path else page.path


def local_path(path: str) -> str:
    """Return a path of ours; anything else is the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _to_login(request: Request) -> Response:
    path: str = request.scope["path"]
    back = link(path, **dict(request.query_params)) if request.method == "GET" else path
    return RedirectResponse(link("/login", next=back), 303, headers=HEADERS)
