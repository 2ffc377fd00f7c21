"""Each operation, message, field and parameter of the documents has its words, and no word is of nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.adapters.wire import contract, words
from tests.unit.test_snapshots import DOCUMENTS


def fields(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{name}.{field}": shape
        for name, schema in document["components"]["schemas"].items()
        for field, shape in schema.get("properties", {}).items()
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_says_what_it_is(name: str) -> None:
    found = fields(DOCUMENTS[name]())
    assert len(found) > 200 and [field for field, shape in found.items() if not shape.get("description")] == []


def test_every_call_and_every_parameter_says_what_it_does() -> None:
    document = DOCUMENTS["openapi"]()
    calls = [(m, path, call) for path, calls in document["paths"].items() for m, call in calls.items()]
    assert len(calls) > 50
    for method, path, call in calls:
        assert len(call["summary"]) > 3 and len(call["description"]) > 3, (method, path)
        assert contract.about_call(method, path) == call["description"], "the contract has a section on each call"
        for parameter in call.get("parameters", ()):
            assert parameter["description"], (method, path, parameter["name"])


def test_every_frame_says_what_it_is() -> None:
    messages = DOCUMENTS["asyncapi"]()["components"]["messages"]
    for key, message in messages.items():
        assert len(message["description"]) > 3, key


def test_no_word_is_of_nothing() -> None:
    found = {key for document in DOCUMENTS.values() for key in fields(document())}
    assert set(words.OF_A_SHAPE) <= found
    calls = [call for path in DOCUMENTS["openapi"]()["paths"].values() for call in path.values()]
    parameters = {parameter["name"] for call in calls for parameter in call.get("parameters", ())}
    assert set(words.FIELDS) <= {key.partition(".")[2] for key in found} | parameters
    assert set(words.PARAMETERS) <= parameters
