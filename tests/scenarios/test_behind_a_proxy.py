"""Behind a real proxy that shows the service under a path and another host: pages, documents, calls, sockets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from stack.packages import find_programs
from stack.processes import Child, free_port, wait_until
from tests.world import World, new_id, start_embedded, stop_embedded

DOCS = (Path(__file__).parents[2] / "docs" / "proxies.md").read_text()
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend clients
    bind 127.0.0.1:{port}
{lines}
    http-request set-header Host inside.example
    default_backend parley
backend parley
    server parley 127.0.0.1:{there}
"""
NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{lines}
}}
"""
TRAEFIK = os.environ.get("TRAEFIK", "")  # a program of it, which Debian doesn't have


def example(name: str) -> str:
    """The lines that the documentation gives for this proxy, under a path."""
    found = re.search(rf"^{name}[^\n]*:\n```\n(.*?)```", DOCS.partition("## Under a path")[2], re.M | re.S)
    assert found is not None, name
    return found[1]


def haproxy(folder: Path, port: int, there: str, *, cut: bool = True) -> list[str | Path]:
    """cut: whether the path is taken off, as the example does, or left there."""
    lines = "\n".join(line for line in example("HAProxy").splitlines() if cut or "replace-path" not in line)
    settings = folder / "haproxy.cfg"
    settings.write_text(HAPROXY.format(port=port, there=there, lines=lines))
    return [find_programs().haproxy, "-f", settings]


def nginx(folder: Path, port: int, there: str) -> list[str | Path]:
    lines = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", example("nginx"))
    lines = re.sub(r"ssl_certificate.*;\n", "", lines).replace("127.0.0.1:8000", f"127.0.0.1:{there}")
    settings = folder / "nginx.conf"
    settings.write_text(NGINX.format(folder=folder, lines=lines))
    return [find_programs().nginx, "-p", folder, "-c", settings]


def caddy(folder: Path, port: int, there: str) -> list[str | Path]:
    lines = example("Caddy").replace("example.com", f"http://:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{there}")
    settings = folder / "Caddyfile"
    settings.write_text("{\n\tadmin off\n}\n" + lines)
    return [find_programs().caddy, "run", "--adapter", "caddyfile", "--config", settings]


def traefik(folder: Path, port: int, there: str) -> list[str | Path]:
    """Labels are the same tree as a file's; a file names the server by its address."""
    tree: dict[str, Any] = {}
    lines = example("Traefik").replace("example.com", "127.0.0.1")
    for label, _, value in (line.partition("=") for line in lines.splitlines()):
        *path, last = label.removeprefix("traefik.").split(".")
        place = tree
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    for router in tree["http"]["routers"].values():
        router |= {"middlewares": [router["middlewares"]], "service": "parley"}
    for middleware in tree["http"]["middlewares"].values():
        middleware["stripPrefix"] = {"prefixes": [middleware.pop("stripprefix")["prefixes"]]}
    tree["http"]["services"] = {"parley": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{there}"}]}}}
    settings = folder / "traefik.yaml"  # JSON is YAML
    settings.write_text(json.dumps(tree))
    return [TRAEFIK, f"--entrypoints.web.address=127.0.0.1:{port}", f"--providers.file.filename={settings}"]


PROXIES: dict[str, Callable[[Path, int, str], list[str | Path]]] = {
    "HAProxy": haproxy,
    "HAProxy, the path left there": partial(haproxy, cut=False),
    "nginx": nginx,
    "Caddy": caddy,
}
"""The command of each: it listens at a port and leads to Parley's, its files in a folder."""
if TRAEFIK:
    PROXIES["Traefik"] = traefik


@contextmanager
def proxied(name: str, folder: Path) -> Iterator[tuple[World, str]]:
    """(the service, the address that clients use)"""
    world = start_embedded({"TRUSTED_PROXIES": "127.0.0.1"})
    port = free_port()
    command = PROXIES[name](folder, port, world.urls[0].rpartition(":")[2])
    environment = find_programs().environment | {"HOME": str(folder)}
    proxy = Child("proxy", command, folder / "log", environment)
    url = f"http://127.0.0.1:{port}/chat"

    def serves() -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(f"{url}/livez").status_code == 200
        return False

    try:
        proxy.start()
        wait_until(serves, name, 10)
        yield world, url
    finally:
        proxy.stop()
        stop_embedded(world)


@pytest.fixture(scope="module", params=PROXIES)
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    with proxied(request.param, tmp_path_factory.mktemp("proxy")) as both:
        yield both


async def test_pages_lead_to_each_other_under_the_path(behind: tuple[World, str]) -> None:
    _, url = behind
    host = url.removesuffix("/chat")
    async with httpx2.AsyncClient(base_url=host) as http:
        seen: set[str] = set()
        todo = ["/chat/", "/chat/about"]
        while todo:
            path = todo.pop()
            seen.add(path)
            answer = await http.get(path)
            assert answer.status_code == 200, path
            if "html" in answer.headers["content-type"]:
                found = {target for target in re.findall(r'(?:src|href)="?([^" >]+)', answer.text) if target[0] == "/"}
                assert all(target.startswith("/chat/") for target in found), path
                todo += found - seen - set(todo)
        assert {"/chat/docs", "/chat/docs/ws", "/chat/docs/protocol", "/chat/static/look.css"} <= seen
        document = (await http.get("/chat/openapi.json")).json()
        assert document["servers"] == [{"url": "/chat"}]
        assert (
            document["components"]["securitySchemes"]["bearer"]["flows"]["password"]["tokenUrl"]
            == "/chat/v1/auth/token"
        )
        assert "servers" not in (await http.get(f"{behind[0].urls[0]}/openapi.json")).json()


async def test_calls_and_sockets_are_of_the_host_that_the_client_named(behind: tuple[World, str]) -> None:
    world, url = behind
    host = url.removeprefix("http://").removesuffix("/chat")
    async with httpx2.AsyncClient() as http:
        body = {"username": f"u{new_id()[:8]}", "password": "correct horse battery"}
        made = await http.post(f"{url}/v1/auth/register", json=body)
        assert made.status_code == 201
        token = made.json()["access_token"]
    for origin, good in ((f"http://{host}", True), ("http://inside.example", False), ("https://evil.example", False)):
        try:
            async with websockets.connect(f"ws://{host}/chat/v1/ws", origin=websockets.Origin(origin)) as opened:
                await opened.send(json.dumps({"type": "hello", "token": token}))
                assert json.loads(await opened.recv())["type"] == "welcome"
                assert good, origin
        except websockets.InvalidStatus as refused:
            assert refused.response.status_code == 403 and not good, origin
    assert world.role is not None
