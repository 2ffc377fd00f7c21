"""The pages that people meet: what this is, the docs of REST and of the socket. All served by us: no request leaves."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from markdown_it import MarkdownIt

from app.adapters.pages.asyncapi import asyncapi
from app.adapters.wire import contract
from app.adapters.wire.registry import EVENTS, request_answers
from app.adapters.wire.text import encode_bytes

router = APIRouter(include_in_schema=False)
_OWN = Path(__file__).parent / "static"
_SWAGGER = files("fastapi_offline") / "static"
_FILES: dict[str, tuple[Any, str]] = {
    "look.css": (_OWN / "look.css", "text/css"),
    "home.js": (_OWN / "home.js", "text/javascript"),
    "docs.js": (_OWN / "docs.js", "text/javascript"),
    "icon.svg": (_OWN / "icon.svg", "image/svg+xml"),
    "swagger-ui-bundle.js": (_SWAGGER / "swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_SWAGGER / "swagger-ui.css", "text/css"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_PAGES = (
    ("/", "Chat"),
    ("/about", "Parley"),
    ("/docs", "REST"),
    ("/docs/ws", "Socket"),
    ("/docs/protocol", "Protocol"),
)
_OF_OURS = re.compile(r"""((?:href|src)="?)/""")


def page_of_ours(request: Request, title: str, here: str, body: str, head: str = "") -> Response:
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if path == here else ""}>{words}</a>' for path, words in _PAGES
    )
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/look.css">'
        f"{head}</head><body><nav>{links}</nav>{body}</body></html>"
    )
    if under := request.scope.get("root_path", ""):  # behind a proxy that shows us under a path
        html = _OF_OURS.sub(rf"\1{under}/", html)
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


@router.get("/about")
async def about(request: Request) -> Response:
    return page_of_ours(request, "Parley", "/about", (_OWN / "home.html").read_text())


@router.get("/docs")
async def docs(request: Request) -> Response:
    head = '<link rel="stylesheet" href="/static/swagger-ui.css">'
    scripts = '<script src="/static/swagger-ui-bundle.js"></script><script src="/static/docs.js"></script>'
    return page_of_ours(request, "Parley: REST", "/docs", f'<main class="wide" id="swagger-ui"></main>{scripts}', head)


@router.get("/docs/ws")
async def docs_ws(request: Request) -> Response:
    return page_of_ours(request, "Parley: the socket", "/docs/ws", _socket_page())


@router.get("/docs/protocol")
async def docs_protocol(request: Request) -> Response:
    return page_of_ours(request, "Parley: the protocol", "/docs/protocol", _protocol_page())


@router.get("/asyncapi.json")
async def asyncapi_() -> Response:
    return Response(_asyncapi_bytes(), media_type="application/json")


@cache
def _asyncapi_bytes() -> bytes:
    return encode_bytes(asyncapi())


@router.get("/static/{name}")
async def static(name: str) -> Response:
    if name not in _FILES:
        return Response(status_code=404)
    return Response(_content(name), media_type=_FILES[name][1], headers={"Cache-Control": "max-age=3600"})


@cache
def _content(name: str) -> bytes:
    found: bytes = _FILES[name][0].read_bytes()
    return found


# The socket's page


@cache
def _socket_page() -> str:
    document = asyncapi()
    messages, schemas = document["components"]["messages"], document["components"]["schemas"]
    answered = {name for told in request_answers().values() for name in told}
    groups: tuple[tuple[str, list[str]], ...] = (
        ("What a client sends", [f"request.{name}" for name in request_answers()]),
        ("What answers it", [f"frame.{name}" for name in sorted(answered)]),
        ("Durable events", [f"frame.{name}" for name in EVENTS]),
        ("Signals and the rest", []),
    )  # fmt: skip
    shown = {key for _, keys in groups for key in keys}
    groups[3][1].extend(key for key in messages if key not in shown)
    toc = "".join(
        f"<h3>{title}</h3><ul>{''.join(f'<li><a href=#{key}>{_name(key)}</a></li>' for key in keys)}</ul>"
        for title, keys in groups
    )
    body = "".join(
        f"<h2>{title}</h2>{''.join(_article(key, messages[key], schemas) for key in keys)}" for title, keys in groups
    )
    words = _markdown(document["info"]["description"])
    return (
        f'<aside>{toc}</aside><main class="doc"><h1>The socket: <code>GET /v1/ws</code></h1>{words}'
        '<p>The whole as <a href="/asyncapi.json">AsyncAPI 3</a>; REST beside it: <a href="/docs">OpenAPI</a>.</p>'
        f"{body}</main>"
    )


def _name(key: str) -> str:
    return key.partition(".")[2]


def _article(key: str, message: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = schemas[message["payload"]["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{'' if name in required else '?'}</td><td>{_type(field)}</td>"
        f"<td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in schema["properties"].items()
    )
    told = request_answers().get(_name(key), ()) if key.startswith("request.") else ()
    answers = ", ".join(f'<a href="#frame.{name}"><code>{name}</code></a>' for name in told)
    direction = "to the service" if key.startswith("request.") else "to the client"
    example = escape(json.dumps(message["examples"][0]["payload"], ensure_ascii=False, indent=2))
    return (
        f'<article id="{key}"><h3><code>{_name(key)}</code> <small>{direction}</small></h3>'
        f"{_markdown(message['description'] or message['summary'])}{'<p>Answered by ' + answers + '.</p>' if answers else ''}"
        f"<table><tr><th>field</th><th>type</th><th></th></tr>{rows}</table><pre>{example}</pre></article>"
    )


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return escape(field["$ref"].rpartition("/")[2].removesuffix("Json").lower())
    if "const" in field:
        return f"<code>{escape(json.dumps(field['const']))}</code>"
    if "enum" in field:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in field["enum"])
    if "anyOf" in field:
        return " | ".join(_type(one) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"[{_type(field.get('items', {}))}]"
    bounds = [f"{word} {field[key]}" for key, word in (("minLength", "≥"), ("maxLength", "≤")) if key in field]
    return escape(f"{field.get('type', 'any')}{' (' + ', '.join(bounds) + ')' if bounds else ''}")


_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


def _markdown(text: str) -> str:
    made: str = _MARKDOWN.render(text)
    return made.replace('href="docs/', 'href="/docs/')


@cache
def _protocol_page() -> str:
    """docs/protocol.md, each section with its anchor, as the file's own links name them."""
    tokens = _MARKDOWN.parse(contract.FILE.read_text())
    toc: list[str] = []
    seen: dict[str, int] = {}
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
            seen[slug] = seen.get(slug, -1) + 1
            opening.attrSet("id", f"{slug}-{seen[slug]}" if seen[slug] else slug)
            if opening.tag == "h2":
                toc.append(f'<li><a href="#{opening.attrGet("id")}">{escape(inline.content)}</a></li>')
    made: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return f'<aside><ul>{"".join(toc)}</ul></aside><main class="doc">{made}</main>'
