"""A gateway's doors: REST, the pages, the socket."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from app.adapters.pages import pages
from app.adapters.rest import accounts, chats, messages, openapi, operators, policy
from app.adapters.websocket.connection import serve_socket
from app.application.services import Services
from app.infrastructure import telemetry


def open_doors(app: FastAPI, services: Services) -> None:
    app.state.services = services
    for room in (accounts, chats, messages, policy, operators, pages):
        app.include_router(room.router)
    openapi.install(app)

    @app.websocket("/v1/ws")
    async def socket(websocket: WebSocket) -> None:
        with telemetry.SOCKETS.track_inprogress():
            await serve_socket(websocket, services)
