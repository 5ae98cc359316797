"""Style sheet, scripts and mark: read once, compressed once, under names that change with their content."""

import gzip
import hashlib
from importlib.resources import files
from pathlib import PurePosixPath

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api.answers import error_response
from neuralrouting.errors import NotFound

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


class _Asset(msgspec.Struct, frozen=True):
    media_type: str
    plain: bytes
    packed: bytes


class Assets:
    """The files of `dashboard/static`, in memory."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._assets: dict[str, _Asset] = {}
        plain = {
            file.name: file.read_bytes()
            for file in files("neuralrouting.dashboard").joinpath("static").iterdir()
            if PurePosixPath(file.name).suffix in _TYPES
        }
        # One stamp for all: scripts import each other by plain names, from a folder that changes with any of them.
        stamp = hashlib.sha256(b"".join(plain[name] for name in sorted(plain))).hexdigest()[:12]
        for name, content in plain.items():
            self._names[name] = f"/static/{stamp}/{name}"
            packed = gzip.compress(content, mtime=0)
            self._assets[f"{stamp}/{name}"] = _Asset(_TYPES[PurePosixPath(name).suffix], content, packed)
        self.size_bytes = sum(len(plain[name]) for name in plain if not name.endswith(".svg"))

    def address(self, name: str) -> str:
        """Return where a file is served; raises KeyError for one that there is not."""
        return self._names[name]

    async def serve(self, request: Request) -> Response:
        """Answer `GET /static/...`; anybody may read it."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return error_response(NotFound("no such file"))
        headers = {"cache-control": _FOR_EVER, "vary": "accept-encoding", "x-content-type-options": "nosniff"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, headers=headers | {"content-encoding": "gzip"}, media_type=asset.media_type)
        return Response(asset.plain, headers=headers, media_type=asset.media_type)
