"""Problems and error frames."""

from __future__ import annotations

from app.adapters.wire.problems import HTTP_STATUS, error_frame, problem_json, status_of
from app.domain.errors import Code, ParleyError
from tests.unit.memory import CHATS, USERS

CHAT, (ANNA, BEN) = CHATS[0], USERS[:2]


def test_every_code_has_its_status_and_a_problem_says_what_it_knows() -> None:
    assert set(HTTP_STATUS) == set(Code) and status_of("of a newer version") == 409
    assert problem_json(ParleyError(Code.MUTED, policies=("p",))) == {
        "type": "urn:parley:problem:muted", "title": "muted", "status": 403, "detail": "you are muted in this chat",
        "code": "muted", "policies": ["p"],
    }  # fmt: skip
    assert problem_json(ParleyError(Code.RATE_LIMITED, "slow", retry_after_ms=5, policies=("p",)), 400) == {
        "type": "urn:parley:problem:rate_limited", "title": "rate limited", "status": 400, "detail": "slow",
        "code": "rate_limited", "policies": ["p"], "retry_after_ms": 5,
    }  # fmt: skip
    assert error_frame(None, ParleyError(Code.INVALID, "x")) == {"type": "error", "code": "invalid", "reason": "x"}
