"""The HTTP server of a process: the doors of a gateway, and probes and metrics for every role."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.cors import CORSMiddleware

from app.adapters.origins import plain_origin
from app.adapters.rest import problems
from app.adapters.rest.door import HeadAsGet, RefuseSecretsInUrls, StrangersInTurn
from app.adapters.rest.headers import EXPOSED, AnswerHeaders
from app.adapters.rest.transport import ParleyHttpProtocol
from app.adapters.websocket.transport import ParleyWebSocketProtocol
from app.adapters.wire.problems import INTERNAL, PROBLEM_TYPE
from app.adapters.wire.service import ReadyJson, StatusJson
from app.infrastructure import telemetry
from app.infrastructure.forwarded import Forwarded
from app.infrastructure.settings import Settings, listed

Readiness = Callable[[], Awaitable[tuple[str, dict[str, str | None]]]]
"""(status, of each part None or why not)."""

_DESCRIPTION = "Durable ordered group chat, policy on each message and AI streaming in one log. The socket: /v1/ws."


def make_app(
    settings: Settings, readiness: Readiness, open_doors: Callable[[FastAPI], None] | None, with_metrics: bool
) -> FastAPI:
    """open_doors: a gateway's; None for a role that only has probes."""
    app = FastAPI(
        title="Parley",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `openapi.install` serves it, encoded once
        redirect_slashes=False,  # a redirect would go to the host that the client named
    )
    problems.install(app)
    app.add_middleware(RefuseSecretsInUrls)
    app.add_middleware(StrangersInTurn)
    app.add_middleware(HeadAsGet)
    app.add_middleware(telemetry.MeasureHttp)
    app.add_middleware(AnswerHeaders)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(map(plain_origin, listed(settings.allowed_origins))),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        expose_headers=EXPOSED,
    )
    _add_probes(app, readiness, with_metrics)
    if open_doors is not None:
        open_doors(app)

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> JSONResponse:
        telemetry.trouble("request", error)
        return JSONResponse(INTERNAL, status_code=500, media_type=PROBLEM_TYPE)

    if settings.otel_exporter_otlp_endpoint:
        from app.infrastructure.exporting import trace_requests

        trace_requests(app)
    return app


def _add_probes(app: FastAPI, readiness: Readiness, with_metrics: bool) -> None:
    @app.get("/livez", tags=["operation"], summary="The process answers")
    async def livez() -> StatusJson:
        return {"status": "alive"}

    @app.get("/readyz", tags=["operation"], summary="It may be sent traffic", response_model=ReadyJson)
    async def readyz() -> Response:
        status, parts = await readiness()
        body = {"status": status, "parts": {name: why_not or "ok" for name, why_not in parts.items()}}
        return JSONResponse(body, status_code=200 if status in ("ready", "degraded") else 503)

    if not with_metrics:
        return

    @app.get("/metrics", tags=["operation"], summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Server(uvicorn.Server):
    """Leaves signals to the process, which drains first: uvicorn closes all sockets the moment it is told to exit."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: FastAPI, settings: Settings, port: int) -> Server:
    trusted = listed(settings.trusted_proxies)
    return Server(
        uvicorn.Config(
            Forwarded(app, trusted) if trusted else app,
            host=settings.host,
            port=port,
            loop="uvloop",
            http=ParleyHttpProtocol,
            ws=ParleyWebSocketProtocol,
            ws_max_size=settings.frame_max,
            ws_ping_interval=settings.heartbeat_s,
            ws_ping_timeout=settings.heartbeat_s,
            ws_per_message_deflate=False,
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # `Forwarded` does it
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=65,
            backlog=4096,
        )
    )
