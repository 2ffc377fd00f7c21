"""What providers say when they refuse or fail, read into our few codes. Sources: the error pages of OpenAI, Azure, Google's
and Anthropic's compatible APIs, Mistral, OpenRouter; and the messages of vLLM, llama.cpp, Ollama, TGI and LM Studio."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from app.application.ports.model import ModelFailed

SAID_MAX = 300
WAIT_MAX_S = 60.0
"""A provider that asks to be left alone for longer isn't asked again for this answer."""

_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (code, re.compile(words))
    for code, words in (
        (
            "context",
            r"context.?(length|window|size)|maximum context|exceed_?context|prompt is too long|input is too long"
            r"|too many (input )?tokens|input.?tokens? .*exceed|max_?model_?len|string_above_max_length|request too large"
            r"|exceeds? the (available|maximum) (context|number of tokens|tokens)|reduce the length",
        ),
        (
            "quota",
            r"insufficient.?(quota|credit|balance|funds)|exceeded your current quota|billing|payment.?required|out of credit"
            r"|no credit|credit balance|spend(ing)? limit",
        ),
        (
            "filtered",
            r"content.?(filter|policy|management)|responsible_?ai|moderation|safety|flagged|prohibited.?content|blocklist",
        ),
        (
            "not_found",
            r"model.?not.?found|no such model|unknown.?model|model .{0,120}(does ?n.t exist|does not exist|not found|is not supported)"
            r"|decommissioned|no longer supported"
            r"|deployment.?not.?found|(invalid|unknown|not a valid) model|no endpoints found",
        ),
        ("unauthorized", r"(invalid|incorrect|missing|expired|wrong).{0,20}api.?key|invalid.?auth|unauthori[sz]ed"),
        ("rate_limited", r"rate.?limit|too many requests|requests per|tokens per (minute|day)|resource.?exhausted"),
        ("unavailable", r"overload|server.?error|unavailable|internal error|at capacity|try again|out of memory"),
    )
)
"""Looked for in this order in what was said, beside the status: the same status means many things."""
_STATUSES = {
    401: "unauthorized", 402: "quota", 403: "unauthorized", 404: "not_found", 408: "timeout", 409: "unavailable",
    413: "context", 425: "unavailable", 429: "rate_limited", 498: "rate_limited", 504: "timeout", 524: "timeout",
}  # fmt: skip
_WORDS_OF_STATUS = {
    200: {"context", "quota", "filtered", "not_found", "unauthorized", "rate_limited", "unavailable"},
    400: {"context", "quota", "filtered", "not_found", "unauthorized"},
    401: {"quota"},
    403: {"quota", "filtered"},
    404: {"context"},
    422: {"context", "filtered", "not_found"},
    429: {"context", "quota"},
    500: {"context", "quota", "not_found", "rate_limited"},
}
"""What words may make of a status; of the others nothing."""
_PASSING = re.compile(r"(try again|retry) in|per.?min|\brpm\b|\btpm\b|rate_limit_exceeded")
"""A limit of a while, though the same sentence may speak of billing."""
_RETRIED = {"rate_limited", "unavailable", "timeout"}
_LOADING = re.compile(r"(?<!re)loading|is (still )?starting|warming|not ready yet|model_?loading")
_CONTEXT_IS = re.compile(
    r"(?:context (?:length|window|size)|max_model_len|token limit|tokens allowed)[^0-9]{0,40}(\d[\d,]{2,8})"
)
_SECRETS = re.compile(
    r"(?i)\b(?:(?:sk|pk|rk|gsk|xai|key)[-_]|bearer )[\w\-*.]{6,}|\bAIza[\w\-]{20,}|\b(?=\w*\d)[A-Za-z0-9]{24,}\b|(?<=//)[^/\s:@]+:[^/\s@]+(?=@)"
)

OPTIONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("stream_options", re.compile(r"stream_?options|include_?usage")),
    ("max_tokens", re.compile(r"max_tokens")),
    ("max_completion_tokens", re.compile(r"max_completion_tokens")),
    ("temperature", re.compile(r"temperature")),
    (
        "system",
        re.compile(
            r"(system|developer)[ _]?(role|message|prompt|instruction)?s?\b.{0,60}(not|n't|un)[ -]?(be )?(support|allow|enabl|recogni)"
            r"|does not support .{0,3}(system|developer)|only user and assistant|(unsupported|invalid|unknown|unexpected) role.{0,20}(system|developer)"
        ),
    ),
)
"""What a model may refuse of a request that it could do without, and how such a refusal names it."""


def read_error(payload: Any) -> tuple[str, str]:
    """(what was said, its codes and types) of an error in whatever form: an object in `error`, a text, a list of them, an
    object of its own."""
    if isinstance(payload, list):
        payload = payload[0] if payload else ""
    if isinstance(payload, str):
        return payload, ""
    if not isinstance(payload, dict):
        return "", ""
    inner = next((payload[name] for name in ("error", "errors") if payload.get(name)), None)
    if inner is not None:
        said, kinds = read_error(inner)
        said = said or _first(payload, ("message", "detail"))
        return said, f"{kinds} {_kinds(payload)}".strip()
    return _first(payload, ("message", "detail", "msg", "error_message", "reason")), _kinds(payload)


def _first(payload: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = payload.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and value:  # a framework's: where, and what; not what was sent
            parts = [{k: part[k] for k in ("loc", "msg") if k in part} for part in value if isinstance(part, dict)]
            return msgspec.json.encode(parts).decode() if parts else ""
    return ""


def _kinds(payload: dict[str, Any]) -> str:
    inner = payload.get("innererror")
    values = [payload.get(name) for name in ("code", "type", "status", "param")]
    values += [inner.get("code")] if isinstance(inner, dict) else []
    return " ".join(str(value) for value in values if isinstance(value, (str, int)) and value is not True)


def failure_of(status: int, payload: Any, headers: Mapping[str, str] | None = None) -> ModelFailed:
    """What an answer of this HTTP status, or an error within a stream (status 200), means. payload: its JSON, or its text."""
    said, kinds = read_error(payload)
    words = f"{said} {kinds}".lower()
    if status == 200:  # some name one of HTTP's in what they send
        status = next((int(found) for found in re.findall(r"\b[45]\d\d\b", kinds)), 200)
    code = _code(status, words)
    wait_s = retry_after_s(headers or {})
    retry = code in _RETRIED and (wait_s is None or wait_s <= WAIT_MAX_S)
    reason = ""
    if code == "rate_limited" and not retry and wait_s is not None:
        reason = f"the model's provider asks to be left alone for {_in_words(wait_s)}"
    loading = code == "unavailable" and _LOADING.search(words) is not None
    return ModelFailed(
        code, reason, said=cleaned(said), retry=retry, retry_after_s=wait_s, loading=loading,
        context_tokens=_context_tokens(payload, words) if code == "context" else None,
    )  # fmt: skip


def _context_tokens(payload: Any, words: str) -> int | None:
    """How many tokens the model takes, where a refusal names it."""
    inner = payload.get("error", payload) if isinstance(payload, dict) else None
    told = inner.get("n_ctx") if isinstance(inner, dict) else None
    if type(told) is int and told > 0:
        return told
    found = _CONTEXT_IS.search(words)
    return int(found[1].replace(",", "")) or None if found else None


def _code(status: int, words: str) -> str:
    may = _WORDS_OF_STATUS.get(status)
    if may is None and status >= 500:
        may = _WORDS_OF_STATUS[500]
    elif may is None:
        may = set() if status in _STATUSES else _WORDS_OF_STATUS[400]
    if status == 429 and _PASSING.search(words) and "insufficient" not in words:
        may = may - {"quota"}
    for code, pattern in _WORDS:
        if code in may and pattern.search(words):
            return code
    return _STATUSES.get(status) or {4: "refused", 3: "not_found"}.get(status // 100, "unavailable")


_UNWANTED = re.compile(
    r"unsupported|support|unrecogni|recogni[sz]ed|unknown|unexpected|not (be )?(allowed|permitted|enabled|available)"
    r"|isn't enabled|extra (inputs|fields)|additional propert|forbidden|only user and assistant"
)
_TOO_MUCH = re.compile(r"too (large|high|big|small|low)|at (most|least)|must be|less than|greater than|exceed|between")
"""A value that is refused is no refusal of the option."""


def refused_option(status: int, payload: Any, sent: frozenset[str]) -> str | None:
    """Which of the options that were sent the refusal is about, where it is about one."""
    if status not in (400, 404, 415, 422, 500, 501):
        return None
    said, kinds = read_error(payload)
    words = f"{said} {kinds}".lower()
    if _WORDS[0][1].search(words) or _TOO_MUCH.search(words) or not _UNWANTED.search(words):
        return None
    return next((option for option, pattern in OPTIONS if option in sent and pattern.search(words)), None)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, however they are told: `retry-after-ms`, `Retry-After` as seconds, a fraction or a date (counted from
    the answer's own Date where it has one). None where nothing readable was said."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        told = headers.get(name, "").strip()
        if not told:
            continue
        try:
            number = float(told) / unit
        except ValueError:
            number = _until(told, headers.get("date", "")) if unit == 1.0 else math.nan
        if math.isfinite(number):
            return max(0.0, number)
    return None


def _until(told: str, said_at: str) -> float:
    try:
        return (_date(told) - (_date(said_at) if said_at else datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan


def _date(told: str) -> datetime:
    at = parsedate_to_datetime(told)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _in_words(seconds: float) -> str:
    if seconds >= 2 * 86_400:
        return "days"
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {name}"
    return f"{round(seconds)} seconds"


def one_line(said: str) -> str:
    """Without what can't be seen, and short."""
    said = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in said[: 4 * SAID_MAX])
    said = " ".join(said.split())
    return said if len(said) <= SAID_MAX else said[: SAID_MAX - 1] + "…"


def cleaned(said: str) -> str:
    """The same, and without what looks like a key."""
    return one_line(_SECRETS.sub("…", said[: 8 * SAID_MAX]))
