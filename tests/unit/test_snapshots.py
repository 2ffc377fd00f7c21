"""The public documents are those of the last release, but for what a change says: see tests/snapshots.

`python -m tests.unit.test_snapshots` writes them anew; the difference is then part of the commit, for all to read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Nothing
from typing import Any, cast

import pytest

from app.adapters.pages.asyncapi import asyncapi
from app.infrastructure.doors import Doors
from app.infrastructure.http import make_app
from app.infrastructure.settings import Settings

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"


async def ready() -> tuple[str, dict[str, str | None]]:
    return "ready", {}


def openapi() -> dict[str, Any]:
    doors = Doors(cast(Any, Nothing()), cast(Any, Nothing()), cast(Any, Nothing()), False, "")
    return make_app(Settings(_env_file=None), ready, doors.open, with_metrics=True).openapi()


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {"openapi": openapi, "asyncapi": asyncapi}


def text(document: Any) -> str:
    """The order of keys, and of the names in `required`, says nothing."""
    return json.dumps(_ordered(document), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: sorted(v) if k == "required" and isinstance(v, list) else _ordered(v) for k, v in value.items()}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_is_the_snapshot(name: str) -> None:
    wanted = (SNAPSHOTS / f"{name}.json").read_text()
    assert text(DOCUMENTS[name]()) == wanted, "the public document changed: python -m tests.unit.test_snapshots"


if __name__ == "__main__":
    for name, made in DOCUMENTS.items():
        (SNAPSHOTS / f"{name}.json").write_text(text(made()))
