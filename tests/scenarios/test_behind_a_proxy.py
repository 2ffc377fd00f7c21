"""Behind a real proxy that shows the service under a path and another host: pages, documents, calls, sockets."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import websockets

from stack.packages import find_programs
from stack.processes import Child, free_port, wait_until
from tests.world import World, new_id, start_embedded, stop_embedded

CONFIGURATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend clients
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Prefix /chat if {{ path_beg /chat/ }}
    http-request set-header Host inside.example
    {cut}
    default_backend parley
backend parley
    server parley 127.0.0.1:{there}
"""
CUT = r"http-request replace-path /chat(/.*) \1"


@pytest.fixture(scope="module", params=["cut off", "left there"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, str]]:
    """(the service, the address that clients use)"""
    world = start_embedded({"TRUSTED_PROXIES": "127.0.0.1"})
    folder: Path = tmp_path_factory.mktemp("proxy")
    port = free_port()
    settings = folder / "haproxy.cfg"
    cut = CUT if request.param == "cut off" else ""
    settings.write_text(CONFIGURATION.format(port=port, there=world.urls[0].rpartition(":")[2], cut=cut))
    programs = find_programs()
    proxy = Child("haproxy", [programs.haproxy, "-f", settings], folder / "log", programs.environment)
    proxy.start()

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listens, "HAProxy", 10)
    yield world, f"http://127.0.0.1:{port}/chat"
    proxy.stop()
    stop_embedded(world)


async def test_pages_lead_to_each_other_under_the_path(behind: tuple[World, str]) -> None:
    _, url = behind
    host = url.removesuffix("/chat")
    async with httpx2.AsyncClient(base_url=host) as http:
        seen: set[str] = set()
        todo = ["/chat/"]
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
