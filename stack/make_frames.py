"""python -m stack.make_frames: what the service sends, as types for both clients, made from its AsyncAPI and OpenAPI documents.

The clients know nothing of the service's code, so that anybody may take them; what they get is written out for them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from app.adapters.pages.asyncapi import asyncapi
from app.adapters.wire import registry
from stack.parley import ROOT

FILE = ROOT / "parley_client" / "frames.py"
WEB_FILE = ROOT / "web" / "src" / "client" / "frames.ts"
OPENAPI = ROOT / "tests" / "snapshots" / "openapi.json"
"""Kept equal to what is served by tests/unit/test_snapshots.py."""
_HEAD = '''"""What the service sends on a socket, as types. Made from its AsyncAPI document by `python -m stack.make_frames`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict
'''
_OPAQUE = '''
class UnknownEvent(TypedDict):
    """An event of a newer version: advance past its seq."""

    type: str
    chat_id: str
    seq: int
    at: str
    actor_id: str
'''

_WEB_HEAD = "/** What the service sends and takes. Made from its AsyncAPI and OpenAPI documents by `python -m stack.make_frames`. */\n"
_WEB_OPAQUE = """/** An event of a newer version: advance past its seq. */
export interface UnknownEvent {
  type: string;
  chat_id: string;
  seq: number;
  at: string;
  actor_id: string;
}
"""

_ACTOR = "    actor: NotRequired[PersonJson | None]\n"
"""The client's own, where it was asked for names."""


def made() -> str:
    document = asyncapi()
    schemas, messages = document["components"]["schemas"], document["components"]["messages"]
    names = {
        key[6:]: message["payload"]["$ref"].rpartition("/")[2]
        for key, message in messages.items()
        if key.startswith("frame.")
    }
    needed: list[str] = []
    for name in names.values():
        _collect(name, schemas, needed)
    events = {names[name] for name in registry.EVENTS}
    parts = [_HEAD, *(_class(name, schemas[name]) + _ACTOR * (name in events) for name in needed), _OPAQUE]
    groups = {
        "Event": [names[name] for name in registry.EVENTS],
        "Signal": [names[name] for name in registry.SIGNALS],
        "Answer": [names[name] for name in registry.ANSWERS],
    }
    for group, members in groups.items():
        parts.append(f"\n{group}: TypeAlias = {' | '.join(members)}\n")
    parts.append("Frame: TypeAlias = Event | UnknownEvent | Signal | Answer\n")
    return "\n".join(parts)


def _collect(name: str, schemas: dict[str, Any], found: list[str]) -> None:
    """A type after those that it is made of."""
    if name in found:
        return
    for field in schemas[name].get("properties", {}).values():
        for inner in _refs(field):
            _collect(inner, schemas, found)
    found.append(name)


def _refs(field: Any) -> list[str]:
    if isinstance(field, dict):
        own = [field["$ref"].rpartition("/")[2]] if "$ref" in field else []
        return own + [ref for value in field.values() for ref in _refs(value)]
    return [ref for value in field for ref in _refs(value)] if isinstance(field, list) else []


def _class(name: str, schema: dict[str, Any]) -> str:
    lines = [f"\nclass {name}(TypedDict):"]
    if words := schema.get("description"):
        lines += [f'    """{words}"""', ""]
    for field, kind in schema["properties"].items():
        type_ = _type(kind)
        lines.append(f"    {field}: {type_ if field in schema.get('required', ()) else f'NotRequired[{type_}]'}")
    return "\n".join(lines) + "\n"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "const" in field:
        return f"Literal[{field['const']!r}]".replace("'", '"')
    if "enum" in field:
        return f"Literal[{', '.join(map(repr, field['enum']))}]".replace("'", '"')
    if "anyOf" in field:
        return " | ".join(_type(one) for one in field["anyOf"])
    kinds = {"string": "str", "integer": "int", "boolean": "bool", "number": "float", "null": "None"}
    if field.get("type") == "array":
        return f"list[{_type(field['items'])}]"
    if field.get("type") == "object":
        return "dict[str, Any]"
    return kinds.get(field.get("type", ""), "Any")


def formatted() -> str:
    """As the formatter has it."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", "frames.py", "-"],
        input=made(), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return done.stdout


def made_for_web() -> str:
    """The same frames, and what REST shows, in TypeScript."""
    document = asyncapi()
    of_rest = json.loads(OPENAPI.read_text())["components"]["schemas"]
    schemas = {name: schema for name, schema in of_rest.items() if schema.get("type") == "object"}
    schemas |= document["components"]["schemas"]
    names = {
        key: message["payload"]["$ref"].rpartition("/")[2]
        for key, message in document["components"]["messages"].items()
    }
    parts = [_WEB_HEAD, *(_interface(_plain(name), schemas[name]) for name in sorted(schemas)), _WEB_OPAQUE]
    groups = {
        "DurableEvent": [names[f"frame.{name}"] for name in registry.EVENTS],
        "Signal": [names[f"frame.{name}"] for name in registry.SIGNALS],
        "Answer": [names[f"frame.{name}"] for name in registry.ANSWERS],
        "SocketRequest": [name for key, name in names.items() if key.startswith("request.")],
    }
    for group, members in groups.items():
        parts.append(f"export type {group} =\n" + "\n".join(f"  | {_plain(name)}" for name in members) + ";\n")
    parts.append(f"export const DURABLE_TYPES = {json.dumps(list(registry.EVENTS))} as const;\n")
    parts.append("export type Frame = DurableEvent | Signal | Answer;\n")
    return "\n".join(parts)


def _plain(name: str) -> str:
    return name.replace("[", "Of").replace("]", "").replace("_", "")


def _interface(name: str, schema: dict[str, Any]) -> str:
    lines = [f"/** {words} */"] if (words := schema.get("description", "").replace("\n", " ")) else []
    lines.append(f"export interface {name} {{")
    for field, kind in schema.get("properties", {}).items():
        lines.append(f"  {field}{'' if field in schema.get('required', ()) else '?'}: {_of_web(kind)};")
    return "\n".join([*lines, "}\n"])


def _of_web(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return _plain(field["$ref"].rpartition("/")[2])
    if "const" in field or "enum" in field:
        return " | ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " | ".join(_of_web(one) for one in field["anyOf"])
    kinds = {"string": "string", "integer": "number", "boolean": "boolean", "number": "number", "null": "null"}
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"[{', '.join(map(_of_web, field['prefixItems']))}]"
        inner = _of_web(field.get("items", {}))
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if field.get("type") == "object":
        return "Record<string, unknown>"
    return kinds.get(field.get("type", ""), "unknown")


if __name__ == "__main__":
    wanted = {FILE: formatted(), WEB_FILE: made_for_web()}
    for file, text in wanted.items():
        if "--check" not in sys.argv:
            file.write_text(text)
        elif file.read_text() != text:
            sys.exit(f"{file.relative_to(ROOT)} is not what the documents say: python -m stack.make_frames")
