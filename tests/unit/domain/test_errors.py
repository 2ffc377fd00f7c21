"""Codes, and the words that go with them."""

from __future__ import annotations

from app.domain.errors import CODES, Code, ParleyError


def test_every_code_has_its_words() -> None:
    assert set(CODES) == set(Code)
    assert ParleyError(Code.MUTED).reason == "you are muted in this chat"
    assert ParleyError("of_tomorrow").reason == "of_tomorrow", "a code of a newer version, as it was stored"
    error = ParleyError(Code.INVALID, "why", retry_after_ms=5, policies=("p",))
    assert (error.code, error.reason, error.retry_after_ms, error.policies) == ("invalid", "why", 5, ("p",))
