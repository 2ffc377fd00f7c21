"""Assistants' replies: stopped, written anew, and told while they are written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from app.adapters.wire.examples import ASSISTANT, AT, CHAT, COMMAND, MESSAGE, REPLY
from app.adapters.wire.messages import REPLY_JSON, MessageJson, UsageJson, usage_json, whole
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, OnMessage, Request, Shown, Text
from app.application.answers import Origins, Use
from app.application.ports.jobs import Attempt, Summary
from app.domain.replies import RegenerateReply, SteerReply, StopReply
from app.domain.text import rfc3339, rfc3339_or_none


class ReplyStop(OnMessage):
    type: Literal["reply.stop"]


class ReplyRegenerate(OnMessage):
    type: Literal["reply.regenerate"]


class ReplySteer(OnMessage):
    type: Literal["reply.steer"]
    text: Text


class NewRemark(Request):
    text: Text


class ReplySteered(AnyEvent):
    """A remark to an answer whose turn hasn't come. text: empty where the question or the answer is deleted."""

    type: Literal["reply.steered"]
    message_id: str
    text: str


class MessageCompleted(AnyEvent):
    """An answer's one end: complete, stopped or failed."""

    type: Literal["message.completed"]
    message: MessageJson


class ReplyDelta(TypedDict):
    """A piece of an answer. attempt from 1; index from 0 without gaps; a higher attempt starts the text again."""

    type: Literal["reply.delta"]
    chat_id: str
    message_id: str
    attempt: int
    index: int
    text: str


class ReplySnapshot(TypedDict):
    """The text so far, for who comes late or lost a delta: deltas go on at next_index."""

    type: Literal["reply.snapshot"]
    chat_id: str
    message_id: str
    attempt: int
    next_index: int
    text: str


class ReplyQueued(TypedDict):
    """An answer moved up in its chat's queue: so many are before it; at 0 its turn has come."""

    type: Literal["reply.queued"]
    chat_id: str
    message_id: str
    queue: int


class ReplyThinking(TypedDict):
    """The model thinks before it answers: so many characters by now, which are no part of the answer."""

    type: Literal["reply.thinking"]
    chat_id: str
    message_id: str
    attempt: int
    chars: int


class ReplyWaiting(TypedDict):
    """The model's provider can't answer just now, and is asked again; instead: its fallback, which is asked from now on."""

    type: Literal["reply.waiting"]
    chat_id: str
    message_id: str
    attempt: int
    code: Literal[
        "rate_limited", "unavailable", "timeout", "cut", "bad_answer", "quota", "unauthorized", "not_found", "empty"
    ]
    retry_in_ms: int
    instead: NotRequired[str]


class AssistantSilent(TypedDict):
    """To who called it, where it doesn't answer: the message stands."""

    type: Literal["assistant.silent"]
    chat_id: str
    message_id: str
    assistant_id: str
    code: Literal["banned", "muted", "not_allowed", "off", "quota_exceeded"]


class AttemptJson(TypedDict):
    """A time that the answer was taken up. end: `complete`, `stopped` or the failure's code; null while it is written, and
    where who wrote it died. calls: of the model, with those that were tried again. said: what the provider said of a
    failure, for who may configure assistants."""

    attempt: int
    started_at: str
    first_token_ms: int | None
    ended_at: str | None
    end: str | None
    calls: int
    said: NotRequired[str]


class PlaceJson(TypedDict):
    """chat_id: of the other chat that it stands in, where this one is forked from it."""

    seq: int
    message_id: str
    chat_id: NotRequired[str]


class SummaryJson(TypedDict):
    """What was said from one seq through another, summed up by a model."""

    from_seq: int
    to_seq: int
    body: str


class ProvenanceJson(TypedDict):
    """How an answer came about. context: the messages that the model was sent, oldest first; summary: what it was sent of those
    above them. remarks: to its question, while it waited. policies: those that let it be asked. model: as it named itself."""

    assistant_id: str
    version: int
    provider: str
    model: str
    parameters: dict[str, float]
    attempts: list[AttemptJson]
    context: list[PlaceJson]
    summary: SummaryJson | None
    remarks: list[str]
    policies: list[str]
    usage: UsageJson | None
    cost: float | None


def provenance_json(origins: Origins) -> dict[str, Any]:
    of, usage = origins.provenance, origins.reply.usage
    costs = [one.written.cost for one in of.attempts if one.written and one.written.cost is not None]
    last = next((one.written for one in reversed(of.attempts) if one.written), None)
    return {
        "assistant_id": of.assistant_id,
        "version": of.version,
        "provider": last.provider if last else "",
        "model": last.model if last else "",
        "parameters": dict(last.parameters) if last else {},
        "attempts": [_attempt_json(one, origins.configures) for one in of.attempts],
        "context": [_place_json(*place) for place in last.context if origins.reads(place)] if last else [],
        "summary": _summary_json(of.summary) if of.summary and of.summary.from_seq >= origins.me.sees_from else None,
        "remarks": list(of.remarks),
        "policies": list(of.policies),
        "usage": usage_json(usage) if usage else None,
        "cost": _rounded(sum(costs)) if costs else None,
    }


def _place_json(seq: int, message_id: str, chat_id: str) -> dict[str, Any]:
    return {"seq": seq, "message_id": message_id} | ({"chat_id": chat_id} if chat_id else {})


def _rounded(cost: float) -> float:
    """A millionth of whatever money it is."""
    return round(cost, 6)


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {"from_seq": summary.from_seq, "to_seq": summary.to_seq, "body": summary.body}


def _attempt_json(attempt: Attempt, configures: bool) -> dict[str, Any]:
    written = attempt.written
    made = {
        "attempt": attempt.attempt,
        "started_at": rfc3339(attempt.started_at),
        "first_token_ms": written.first_token_ms if written else None,
        "ended_at": rfc3339_or_none(attempt.ended_at),
        "end": written.end if written else None,
        "calls": written.calls if written else 0,
    }
    return made | ({"said": written.said} if written and written.said and configures else {})


class DayOfUseJson(TypedDict):
    """A day in UTC. replies: asked for, however they ended."""

    day: str
    assistant_id: str
    replies: int
    input_tokens: int
    output_tokens: int
    cost: float | None


class QuotaJson(TypedDict):
    """name: `replies_per_hour`, `replies_per_day` or `tokens_per_day`."""

    name: str
    limit: int
    used: int
    resets_at: str


class UseJson(TypedDict):
    """What answers took, newest day first; and the quotas that are set."""

    items: list[DayOfUseJson]
    quotas: list[QuotaJson]


def use_json(use: Use) -> dict[str, Any]:
    return {
        "items": [asdict(day) | ({"cost": _rounded(day.cost)} if day.cost is not None else {}) for day in use.days],
        "quotas": [
            {"name": q.name, "limit": q.limit, "used": q.used, "resets_at": rfc3339(q.resets_at)} for q in use.quotas
        ],
    }


USE_JSON: dict[str, Any] = {
    "items": [
        {
            "day": AT[:10],
            "assistant_id": ASSISTANT,
            "replies": 3,
            "input_tokens": 240,
            "output_tokens": 96,
            "cost": None,
        }
    ],
    "quotas": [{"name": "replies_per_day", "limit": 100, "used": 3, "resets_at": "2026-02-01T00:00:00.000Z"}],
}
PROVENANCE_JSON: dict[str, Any] = {
    "assistant_id": ASSISTANT, "version": 1, "provider": "default", "model": "gpt-4o-mini-2024-07-18",
    "parameters": {"temperature": 0.5},
    "attempts": [{"attempt": 1, "started_at": AT, "first_token_ms": 420, "ended_at": AT, "end": "complete", "calls": 1}],
    "context": [{"seq": 2, "message_id": MESSAGE}], "summary": None, "remarks": [], "policies": ["members-write"],
    "usage": {"prompt_tokens": 12, "completion_tokens": 4}, "cost": None,
}  # fmt: skip
BODIES = (
    Shown(ProvenanceJson, PROVENANCE_JSON),
    Shown(UseJson, USE_JSON),
    Shown(NewRemark, {"text": "Shorter, please."}),
)
COMMANDS = (
    CommandShape(
        ReplyStop, lambda request: StopReply(request.message_id), {"ref": "6", "chat_id": CHAT, "message_id": REPLY}
    ),
    CommandShape(
        ReplyRegenerate,
        lambda request: RegenerateReply(request.message_id),
        {"ref": "7", "chat_id": CHAT, "message_id": REPLY, "command_id": COMMAND},
    ),
    CommandShape(
        ReplySteer,
        lambda request: SteerReply(request.message_id, request.text),
        {"ref": "8", "chat_id": CHAT, "message_id": REPLY, "text": "Shorter, please."},
    ),
)
EVENTS = (
    EventShape(MessageCompleted, whole, {"actor_id": ASSISTANT, "seq": 7, "message": REPLY_JSON}),
    EventShape(
        ReplySteered, asdict, {"seq": 8, "command_id": COMMAND, "message_id": REPLY, "text": "Shorter, please."}
    ),
)
SIGNALS = (
    Shown(ReplyDelta, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "index": 0, "text": "Here "}),
    Shown(ReplySnapshot, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "next_index": 2, "text": "Here is "}),
    Shown(ReplyQueued, {"chat_id": CHAT, "message_id": REPLY, "queue": 1}),
    Shown(ReplyThinking, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "chars": 240}),
    Shown(
        ReplyWaiting,
        {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "code": "rate_limited", "retry_in_ms": 20_000},
    ),
    Shown(AssistantSilent, {"chat_id": CHAT, "message_id": MESSAGE, "assistant_id": ASSISTANT, "code": "muted"}),
)
