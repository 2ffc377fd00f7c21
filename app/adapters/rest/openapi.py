"""The OpenAPI document as it is served: FastAPI's own, with an example of each object, and what every door may answer."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from app.adapters.rest.problems import TOKEN_PATH, responses
from app.adapters.wire import contract, registry, words
from app.adapters.wire.problems import ProblemJson
from app.adapters.wire.service import AcceptedJson
from app.adapters.wire.text import encode_bytes
from app.application.bounded import Bounded
from app.domain.errors import Code

_PREFIXES_MAX = 8
TAGS = (
    ("identity", "Accounts, tokens, sessions, oneself and others."),
    ("keys and bots", "What programs sign in with, and the users that they are."),
    ("invitations", "Into the service, and into chats, by link."),
    ("chats", "Chats, their members and bans. Commands take the socket's path and answer with their outcome."),
    ("messages", "History, timeline, search, and what people write."),
    ("assistant", "Answers that stream: stop them, have them written anew."),
    ("policies", "Why may, or may not, somebody do this."),
    ("operators", "For operators of the service; each act is written down."),
    ("server API", "For the backend of a product that this service is put under, with a service's key."),
    ("operation", "Probes and metrics."),
)
_TOKEN_ERROR = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    "example": {"error": "invalid_grant", "error_description": "wrong username or password"},
}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` this document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    encoded: Bounded[str, bytes] = Bounded(_PREFIXES_MAX)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json(request: Request) -> Response:
        """Encoded once for each path under which a trusted proxy shows us."""
        under = request.scope.get("root_path", "")
        if under not in encoded:
            encoded[under] = encode_bytes(_shown_under(document(), under))
        return Response(encoded[under], media_type="application/json")


def _shown_under(document: dict[str, Any], under: str) -> dict[str, Any]:
    if not under:
        return document
    schemes = document["components"]["securitySchemes"]
    flow = schemes["bearer"]["flows"]["password"]
    there = {**flow, "tokenUrl": f"{under}{TOKEN_PATH}", "refreshUrl": f"{under}{TOKEN_PATH}"}
    bearer = {**schemes["bearer"], "flows": {"password": there}}
    components = {**document["components"], "securitySchemes": {**schemes, "bearer": bearer}}
    return {**document, "servers": [{"url": under}], "components": components}


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": words} for name, words in TAGS],
    )
    schemas: dict[str, Any] = made["components"]["schemas"]
    for shape in (AcceptedJson, ProblemJson):
        schemas[shape.__name__] = TypeAdapter(shape).json_schema()
    for name, body in registry.BODIES.items():
        if name in schemas:
            schemas[name]["examples"] = [body.example]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    words.describe(schemas)
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _complete(path, method, operation)
            operation["description"] = contract.about_call(method, path) or operation.get("description", "")
            for parameter in operation.get("parameters", ()):
                parameter.setdefault("description", words.parameter(parameter["name"]))
    return made


def _problem(*codes: Code) -> dict[str, Any]:
    """The refusals of these codes as OpenAPI has them."""
    return {str(status): response for status, response in responses(*codes).items()}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    answers: dict[str, Any] = operation["responses"]
    if path == TOKEN_PATH:
        for status, words in (("400", "RFC 6749 §5.2"), ("413", "too large"), ("429", "too many failed tries: wait")):
            answers[status] = {"description": words, "content": {"application/json": {"schema": _TOKEN_ERROR}}}
        answers["503"] = _problem(Code.UNAVAILABLE)["503"]
        answers.pop("422", None)
        return
    if not path.startswith("/v1/"):
        if path == "/readyz":
            answers["503"] = {"description": "it may not: why not", "content": answers["200"]["content"]}
        answers.pop("422", None)
        return
    if "requestBody" in operation:
        wanted = _problem(Code.UNSUPPORTED_MEDIA_TYPE, Code.TOO_LARGE)
        answers.setdefault("415", wanted["415"])
        answers.setdefault("413", wanted["413"])
    has_key = any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
    if has_key or (path.endswith("/messages") and method == "post"):
        accepted = {"schema": {"$ref": f"#/components/schemas/{AcceptedJson.__name__}"}}
        words = "the outcome is not known in 10 s: repeat with the same id"
        answers["202"] = {"description": words, "content": {"application/json": accepted}}
        if "201" in answers:
            answers.setdefault("200", {**answers["201"], "description": "it was there already"})
