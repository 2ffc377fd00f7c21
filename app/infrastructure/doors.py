"""A gateway's doors: REST, the pages, the socket. Imported by gateways alone."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI, Response, WebSocket
from starlette.types import ASGIApp, Receive, Scope, Send

from app.adapters.pages import client, pages
from app.adapters.rest import (
    accounts,
    assistants,
    chats,
    invitations,
    keys,
    members,
    messages,
    openapi,
    operators,
    pins,
    policies,
    replies,
    server,
)
from app.adapters.rest.cursors import Cursors
from app.adapters.rest.history_at_once import HistoryAtOnce
from app.adapters.rest.problems import problem
from app.adapters.websocket.connection import SocketDoor
from app.application.use_cases import UseCases
from app.domain.errors import Code, ParleyError
from app.infrastructure import telemetry

ROUTED = (
    accounts,
    keys,
    invitations,
    chats,
    members,
    messages,
    pins,
    replies,
    assistants,
    policies,
    operators,
    server,
    pages,
)

SOCKET_PATH = "/v1/ws"


class SocketFirst:
    """ASGI middleware, the outermost: the socket passes by all that is made for REST."""

    def __init__(self, app: ASGIApp, door: SocketDoor) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or scope["path"].removeprefix(scope.get("root_path", "")) != SOCKET_PATH:
            return await self._app(scope, receive, send)
        with telemetry.SOCKETS.track_inprogress():
            await self._door.serve(WebSocket(scope, receive, send))


@dataclass(frozen=True, slots=True)
class Doors:
    use_cases: UseCases
    socket: SocketDoor
    cursors: Cursors
    web: bool
    """Whether the web client is served."""
    public_url: str
    """"": as each request came."""

    def open(self, app: FastAPI) -> None:
        app.state.use_cases, app.state.cursors = self.use_cases, self.cursors
        app.state.public_url = self.public_url

        app.add_middleware(SocketFirst, door=self.socket)
        app.router.routes.append(HistoryAtOnce())
        for door in ROUTED:
            app.include_router(door.router)
        app.include_router(client.made(self.web))
        openapi.install(app)

        @app.get(SOCKET_PATH, include_in_schema=False)
        async def not_upgraded() -> Response:
            """The upgrade was lost on the way, by a proxy that passes none."""
            answer = problem(ParleyError(Code.INVALID, "this is a WebSocket: ask for an upgrade"), 426)
            answer.headers["Upgrade"] = "websocket"
            return answer
