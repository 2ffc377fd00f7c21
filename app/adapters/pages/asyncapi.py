"""The AsyncAPI 3 document of the socket, made from the wire models: every frame, both directions, with an example."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from app.adapters.wire import contract, registry, words
from app.application.ports.socket import Close
from app.domain.errors import CODES

_REF = "#/components/schemas/{model}"
_CLOSE_WORDS = {
    Close.GOING_AWAY: "reconnect and resume", Close.UNSUPPORTED_DATA: "binary frames are not taken: a bug",
    Close.INTERNAL: "reconnect and resume", Close.RESTART: "the process goes down: reconnect and resume",
    Close.BAD_HELLO: "a hello of wrong form, or another request before it: a bug",
    Close.UNAUTHENTICATED: "no, bad, expired or revoked credentials: a new token first",
    Close.HELLO_TIMEOUT: "no hello in 5 s", Close.TOO_MANY_SOCKETS: "a newer socket of the user took its place",
    Close.TOO_SLOW: "read too slowly: resume", Close.OVER_LIMITS: "went on over the limits: wait 30 s",
}  # fmt: skip


def _message(name: str, schema: str, summary: str, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{schema}"},
        "examples": [{"name": name, "payload": example}],
    }


def _key(kind: str, name: str) -> str:
    return f"{kind}.{name}"


@cache
def asyncapi() -> dict[str, Any]:
    """The document. Message keys: request.NAME for what clients send, frame.NAME for what they get."""
    requests, sent = registry.socket_requests(), registry.frame_shapes()
    adapters: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        (model, "validation", TypeAdapter(model)) for model in (*requests.values(), *sent.values())
    ]
    refs, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REF)
    schemas = definitions.get("$defs", {})
    words.describe(schemas)
    names = {model: refs[model, "validation"]["$ref"].rpartition("/")[2] for model, _, _ in adapters}
    messages: dict[str, Any] = {}
    examples = registry.request_examples()
    for name, model in requests.items():
        summary = (model.__doc__ or f"{name}, from a client.").strip().partition("\n")[0]
        messages[_key("request", name)] = _message(name, names[model], summary, examples[name])
        messages[_key("request", name)]["description"] = contract.about_request(name)
    examples = registry.frame_examples()
    for name, frame in sent.items():
        summary = (frame.__doc__ or "").strip().partition("\n")[0] or f"{name}, to a client."
        messages[_key("frame", name)] = _message(name, names[frame], summary, examples[name])
        messages[_key("frame", name)]["description"] = " ".join((frame.__doc__ or summary).split())
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Parley: the socket", "version": "1", "description": _description()},
        "defaultContentType": "application/json",
        "servers": {"here": {"host": "localhost:8000", "protocol": "ws", "description": "wss behind TLS"}},
        "channels": {
            "socket": {
                "address": "/v1/ws",
                "title": "One socket of one user; it hears all chats of that user",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": _operations(),
        "components": {"messages": messages, "schemas": schemas},
    }


def _operations() -> dict[str, Any]:
    channel, answers = {"$ref": "#/channels/socket"}, registry.request_answers()
    made: dict[str, Any] = {}
    for name in answers:
        operation: dict[str, Any] = {
            "action": "receive",
            "channel": channel,
            "title": name,
            "messages": [{"$ref": f"#/channels/socket/messages/{_key('request', name)}"}],
        }
        if answers[name]:
            told = [{"$ref": f"#/channels/socket/messages/{_key('frame', answer)}"} for answer in answers[name]]
            operation["reply"] = {"channel": channel, "messages": told}
        made[f"receive.{name}"] = operation
    asked_for = {answer for told in answers.values() for answer in told}
    for name in registry.frame_shapes():
        if name not in asked_for:
            made[f"send.{name}"] = {
                "action": "send",
                "channel": channel,
                "title": name,
                "messages": [{"$ref": f"#/channels/socket/messages/{_key('frame', name)}"}],
            }
    return made


def _description() -> str:
    codes = "\n".join(f"- `{code}`: {info.meaning}; {info.advice}" for code, info in CODES.items())
    closes = "\n".join(f"- {code}: {words}" for code, words in sorted(_CLOSE_WORDS.items()))
    return (
        "JSON text frames, subprotocol `parley.v1` or none. A text frame holds one or more JSON objects separated by a"
        " newline, in both directions. The first request is `hello`; every other but `typing` carries a `ref`, which"
        " what answers it repeats. Durable events carry a `seq`, each chat's own, without gaps; signals carry none and"
        f" may be lost.\n\n**Codes** of `error` and `rejected`:\n{codes}\n\n**Close codes**:\n{closes}\n"
    )
