"""python -m stack.make_frames: the frames of the socket as types for `parley_client`, made from the AsyncAPI document.

The client knows nothing of the service's code, so that anybody may take it; what it gets is written out for it.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from app.adapters.pages.asyncapi import asyncapi
from app.adapters.wire import registry
from stack.parley import ROOT

FILE = ROOT / "parley_client" / "frames.py"
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


if __name__ == "__main__":
    if "--check" not in sys.argv:
        FILE.write_text(formatted())
    elif FILE.read_text() != formatted():
        sys.exit("parley_client/frames.py is not what the document says: python -m stack.make_frames")
