"""The contract's sections, as documents and pages find them."""

from __future__ import annotations

import re

from app.adapters.wire import contract


def test_sections_are_found_by_call_and_by_request() -> None:
    assert contract.about_call("get", "/v1/users/{user_id}").startswith("The public part of a profile")
    assert contract.about_call("GET", "/v1/users") != contract.about_call("GET", "/v1/users/{x}")
    assert contract.about_request("reaction.add") == contract.about_request("reaction.remove") != ""
    assert contract.about_call("GET", "/livez") == contract.about_call("GET", "/metrics") != ""
    assert contract.about_call("GET", "/v1/nothing") == contract.about_request("nothing") == ""
    assert not any("](#" in text for text in contract.sections().values()), "links lead to the contract's page"


def test_the_contracts_own_links_lead_somewhere() -> None:
    text = contract.FILE.read_text()
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
