"""The web client as it was built: its page at each address of its own, and its files. Without it `/` says how to build it."""

from __future__ import annotations

import mimetypes
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from app.adapters.pages.pages import page_of_ours

BUILT = Path(__file__).parents[3] / "web" / "dist"
PATHS = ("/", "/c/{chat_id}", "/c/{chat_id}/m/{seq}", "/settings", "/admin", "/invitation", "/password")
"""The client's own addresses; what is at each, it finds out itself."""
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_TO_OUR_ROOT = re.compile(rb'((?:href|src|content)=")\./')
_PACKED = ((".br", "br"), (".gz", "gzip"))
_FOREVER, _EACH_TIME = "public, max-age=31536000, immutable", "no-cache"
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}
_MISSING = """<main><h1>Parley runs; its web client isn't here</h1>
<p>{why} Everything else works: <a href="/about">what there is</a>.</p></main>"""


def made(wanted: bool, folder: Path = BUILT) -> APIRouter:
    """wanted: not, where the settings say `WEB=off`."""
    router = APIRouter(include_in_schema=False)
    index = folder / "index.html"
    if wanted and index.exists():
        files = _Files(folder)
        for path in (*PATHS, "/index.html"):
            router.add_api_route(path, files.page, methods=["GET"])
        router.add_api_route("/assets/{name}", files.asset, methods=["GET"])
        for name in files.at_root:
            router.add_api_route(f"/{name}", files.beside, methods=["GET"])
    else:
        why = (
            "<code>make run</code> builds it (it needs Node 20.19 or newer, or takes it as a package);"
            " <code>make web</code> builds it alone. Then start again."
            if wanted
            else "It is switched off: <code>WEB=off</code>. To have it, set <code>WEB=on</code>, build it with"
            " <code>make web</code>, and start again."
        )

        async def nothing(request: Request) -> Response:
            return page_of_ours(request, "Parley", "/", _MISSING.format(why=why))

        for path in PATHS:
            router.add_api_route(path, nothing, methods=["GET"])
    return router


class _Files:
    def __init__(self, folder: Path) -> None:
        self._known = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.is_file() and path.name[0] != "."
        }
        self.at_root = [name for name in self._known if "/" not in name and not name.endswith((".br", ".gz", ".html"))]
        self._read = cache(Path.read_bytes)

    async def page(self, request: Request) -> Response:
        """Its links are to our root, also where a proxy shows us under a path."""
        under = request.scope.get("root_path", "").encode()
        html = _TO_OUR_ROOT.sub(rb"\1" + under + b"/", self._read(self._known["index.html"]))
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": _EACH_TIME}
        return Response(html, media_type="text/html", headers=headers)

    async def asset(self, request: Request, name: str) -> Response:
        return self._file(request, f"assets/{name}", _FOREVER)

    async def beside(self, request: Request) -> Response:
        return self._file(request, request.url.path.rpartition("/")[2], _EACH_TIME)

    def _file(self, request: Request, name: str, kept: str) -> Response:
        if name not in self._known or name.endswith((".br", ".gz")):
            return Response(status_code=404)
        suffix = Path(name).suffix
        kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Cache-Control": kept, "Content-Security-Policy": _POLICY, "Vary": "Accept-Encoding"}
        if name == "embed.js":  # for other people's pages
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        accepted = request.headers.get("accept-encoding", "")
        for ending, encoding in _PACKED:
            if encoding in accepted and name + ending in self._known:
                headers["Content-Encoding"] = encoding
                return Response(self._read(self._known[name + ending]), media_type=kind, headers=headers)
        return Response(self._read(self._known[name]), media_type=kind, headers=headers)
