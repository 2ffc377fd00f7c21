"""Every code that a client may see, in one table, with what the client should do about it.

The table is the public contract's (docs/protocol.md); each door translates it once: REST to problem+json,
the socket to `error` and `rejected` frames. Codes are stable; the reason is for people and may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    BAD_JSON = "bad_json"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    MUTED = "muted"
    BANNED = "banned"
    ARCHIVED = "archived"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    UNAVAILABLE = "unavailable"
    OUTCOME_UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """meaning: what happened. advice: what a client does."""

    meaning: str
    advice: str


CODES: dict[Code, CodeInfo] = {
    Code.BAD_JSON: CodeInfo("not JSON", "a bug: don't repeat"),
    Code.UNKNOWN_TYPE: CodeInfo("no such request", "a bug: don't repeat"),
    Code.INVALID: CodeInfo("form, unknown field, NUL, lone surrogate or bad id", "a bug: don't repeat"),
    Code.EMPTY: CodeInfo("nothing to see in it", "ask for a text"),
    Code.TOO_LARGE: CodeInfo("larger than the limit", "shorten it"),
    Code.UNSUPPORTED_MEDIA_TYPE: CodeInfo("this media type is not taken here", "a bug: don't repeat"),
    Code.UNAUTHENTICATED: CodeInfo("no valid credentials", "sign in"),
    Code.NOT_FOUND: CodeInfo("no such thing, for you", "drop it"),
    Code.NOT_ALLOWED: CodeInfo("a policy says no", "show the reason"),
    Code.MUTED: CodeInfo("you are muted in this chat", "show the reason"),
    Code.BANNED: CodeInfo("this person is banned from the chat", "show the reason"),
    Code.ARCHIVED: CodeInfo("the chat is archived", "show the reason"),
    Code.CONFLICT: CodeInfo("it does not fit the present state", "read again, then decide"),
    Code.RATE_LIMITED: CodeInfo("too many requests", "wait retry_after_ms, hold back what is behind it"),
    Code.QUOTA_EXCEEDED: CodeInfo("the quota is used up", "show the reason"),
    Code.UNAVAILABLE: CodeInfo("nothing was accepted", "wait retry_after_ms, then send the same id again"),
    Code.OUTCOME_UNKNOWN: CodeInfo("it may have been accepted", "send the same id again"),
}


class ParleyError(Exception):
    """A refusal that its cause knows how to name. Carried to the door that asked, which words it for its protocol.

    code: one of `Code`, or of a newer version, as it was stored.
    """

    def __init__(
        self, code: str, reason: str = "", *, retry_after_ms: int | None = None, policies: tuple[str, ...] = ()
    ) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason or (CODES[Code(code)].meaning if code in CODES else code)
        self.retry_after_ms = retry_after_ms
        self.policies = policies


def not_found() -> ParleyError:
    """A stranger, a banned person and one who asks for what isn't there hear the same words."""
    return ParleyError(Code.NOT_FOUND, "no such chat, message or person")


NOT_FOUND_REASON = not_found().reason


def rate_limited(reason: str, retry_after_ms: int) -> ParleyError:
    """One too many; not counted."""
    return ParleyError(Code.RATE_LIMITED, reason, retry_after_ms=retry_after_ms)


def unavailable(reason: str = "the store can't be reached", away_s: float = 0.0) -> ParleyError:
    """Nothing was accepted. What has been away for long (away_s) is worth another try after half as long: a second at
    least, 30 at most."""
    return ParleyError(Code.UNAVAILABLE, reason, retry_after_ms=int(1_000 * min(30.0, max(1.0, away_s / 2))))
