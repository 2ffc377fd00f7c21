"""One worked example of each public object, for the OpenAPI and AsyncAPI documents. Tests run them.

A story: Anna (owner) and Ben talk in a group, and ask the assistant.
"""

from __future__ import annotations

from typing import Any

from app.domain.ids import ASSISTANT_ID as ASSISTANT

ANNA = "0198c0de-0000-7000-8000-00000000a001"
BEN = "0198c0de-0000-7000-8000-00000000b002"
CHAT = "0198c0de-0000-7000-8000-0000000c4a70"
MESSAGE = "0198c0de-0000-7000-8000-0000000e5501"
REPLY = "0198c0de-0000-7000-8000-0000000e5502"
SEND_ID = "6f1d5e0a-2c84-4a57-9d0e-5b8a3f6c7d10"
COMMAND = "2b7c9d4e-8f13-4e6a-b5a0-1c2d3e4f5a60"
SESSION = "0198c0de-0000-7000-8000-0000005e5510"
AT = "2026-01-31T12:00:00.000Z"

PERSON = {"id": BEN, "username": "ben", "display_name": "Ben", "kind": "human"}
USER = {
    "id": ANNA, "username": "anna", "display_name": "Anna", "kind": "human", "role": "user",
    "preferences": {"theme": "dark"},
}  # fmt: skip
MESSAGE_JSON: dict[str, Any] = {
    "id": MESSAGE, "chat_id": CHAT, "seq": 2, "sender_id": ANNA, "kind": "user", "client_message_id": SEND_ID,
    "body": "Shall we start?", "reply_to": None, "status": "complete", "created_at": AT, "edited_at": None,
    "deleted_at": None, "reactions": [{"emoji": "👍", "count": 1, "user_ids": [BEN]}],
}  # fmt: skip
REPLY_JSON = MESSAGE_JSON | {
    "id": REPLY, "seq": 4, "sender_id": ASSISTANT, "kind": "assistant", "client_message_id": None,
    "body": "Here is a plan.", "reply_to": MESSAGE, "reactions": [], "attempt": 1,
    "usage": {"prompt_tokens": 12, "completion_tokens": 4},
}  # fmt: skip
SHARED_CHAT = {
    "id": CHAT, "kind": "group", "title": "Launch", "archived": False, "created_at": AT, "created_by": ANNA, "head": 2,
    "members_count": 2,
}  # fmt: skip
CHAT_JSON = SHARED_CHAT | {"my_role": "owner", "read_seq": 2, "unread": 0, "last_message": MESSAGE_JSON}
MEMBER = {"user": PERSON, "role": "member", "muted_until": None, "joined_at": AT}
TOKENS = {
    "access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 900, "refresh_token": "k3Jx…", "user": USER,
}  # fmt: skip
_EVENT = {"chat_id": CHAT, "at": AT, "actor_id": ANNA}

REST: dict[str, Any] = {
    "Registration": {"username": "anna", "password": "correct horse battery", "display_name": "Anna"},
    "ProfileChanges": {"display_name": "Anna B.", "preferences": {"theme": "dark"}},
    "PasswordChange": {"current_password": "correct horse battery", "new_password": "another horse battery"},
    "AccountChanges": {"disabled": True},
    "NewChat": {"kind": "group", "title": "Launch"},
    "ChatChanges": {"title": "Launch day"},
    "NewMember": {"user_id": BEN, "role": "member"},
    "MemberChanges": {"role": "reader", "muted_until": None},
    "NewMessage": {"client_message_id": SEND_ID, "body": "Shall we start?"},
    "NewBody": {"body": "Shall we start now?"},
    "ReadSeq": {"seq": 2},
    "Explain": {"action": "message.send", "chat_id": CHAT},
    "UserJson": USER,
    "PersonJson": PERSON,
    "AccountJson": USER | {"disabled": False, "created_at": AT},
    "SessionJson": {"id": SESSION, "created_at": AT, "last_used_at": None, "client": "Firefox", "current": True},
    "AuditJson": {
        "id": COMMAND, "at": AT, "actor_id": ANNA, "act": "user.changed", "target_id": BEN, "details": {"disabled": True},
    },
    "TokensJson": TOKENS,
    "TicketJson": {"ticket": "q8Zt…", "expires_in": 30},
    "ChatJson": CHAT_JSON,
    "MemberJson": MEMBER,
    "MessageJson": MESSAGE_JSON,
    "FoundMessageJson": MESSAGE_JSON | {"highlights": [[9, 5]]},
    "ReadJson": {"read_seq": 2, "unread": 0},
    "ExplainJson": {
        "decision": "allow", "policies": ["members-write"], "facts": {"action": "message.send", "role": "owner"},
    },
    "ProblemJson": {
        "type": "urn:parley:problem:muted", "title": "muted", "status": 403, "detail": "you are muted in this chat",
        "code": "muted", "policies": ["muted-stay-silent"],
    },
}  # fmt: skip

REQUESTS: dict[str, dict[str, Any]] = {
    "hello": {"type": "hello", "token": "eyJhbGciOi…", "resume": {"epoch": "8f0e…", "chats": {CHAT: 2}}},
    "sync": {"type": "sync", "ref": "s1", "chats": {CHAT: 2}},
    "message.send": {
        "type": "message.send", "ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "body": "Shall we start?",
    },
    "message.edit": {"type": "message.edit", "ref": "2", "chat_id": CHAT, "message_id": MESSAGE, "body": "Shall we?"},
    "message.delete": {"type": "message.delete", "ref": "3", "chat_id": CHAT, "message_id": MESSAGE},
    "reaction.add": {"type": "reaction.add", "ref": "4", "chat_id": CHAT, "message_id": MESSAGE, "emoji": "👍"},
    "reaction.remove": {"type": "reaction.remove", "ref": "5", "chat_id": CHAT, "message_id": MESSAGE, "emoji": "👍"},
    "reply.stop": {"type": "reply.stop", "ref": "6", "chat_id": CHAT, "message_id": REPLY},
    "reply.regenerate": {
        "type": "reply.regenerate", "ref": "7", "chat_id": CHAT, "message_id": REPLY, "command_id": COMMAND,
    },
    "read.mark": {"type": "read.mark", "ref": "8", "chat_id": CHAT, "seq": 2},
    "auth.refresh": {"type": "auth.refresh", "ref": "9", "token": "eyJhbGciOi…"},
    "ping": {"type": "ping", "ref": "10"},
    "typing": {"type": "typing", "chat_id": CHAT},
}  # fmt: skip

FRAMES: dict[str, dict[str, Any]] = {
    "welcome": {
        "type": "welcome", "session_id": SESSION, "user": USER, "epoch": "8f0e…", "heartbeat_s": 20,
        "limits": {"body_max": 8000, "frame_max": 131072, "group_members_max": 1000, "sockets_per_user": 20},
        "chats": [CHAT_JSON], "chats_more": False,
    },
    "synced": {"type": "synced", "chat_id": CHAT, "head": 2},
    "reset": {"type": "reset", "ref": "s1", "chat_id": CHAT, "head": 900, "code": "too_far"},
    "gone": {"type": "gone", "chat_id": CHAT},
    "accepted": {"type": "accepted", "ref": "1", "client_message_id": SEND_ID},
    "committed": {"type": "committed", "ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "seq": 2},
    "rejected": {
        "type": "rejected", "ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "code": "muted",
        "reason": "you are muted in this chat", "policies": ["muted-stay-silent"],
    },
    "ok": {"type": "ok", "ref": "8", "chat_id": CHAT, "read_seq": 2, "unread": 0},
    "pong": {"type": "pong", "ref": "10"},
    "error": {"type": "error", "ref": "1", "code": "rate_limited", "reason": "too many requests", "retry_after_ms": 400},
    "chat.joined": {"type": "chat.joined", "chat": CHAT_JSON, "after": 0},
    "draining": {"type": "draining", "reconnect_after_ms": 500},
    "reply.delta": {
        "type": "reply.delta", "chat_id": CHAT, "message_id": REPLY, "attempt": 1, "index": 0, "text": "Here ",
    },
    "reply.snapshot": {
        "type": "reply.snapshot", "chat_id": CHAT, "message_id": REPLY, "attempt": 1, "next_index": 2, "text": "Here is ",
    },
    "typing": {"type": "typing", "chat_id": CHAT, "user_id": BEN, "expires_in_ms": 6000},
    "read.marked": {"type": "read.marked", "chat_id": CHAT, "user_id": BEN, "read_seq": 2},
    "auth.expiring": {"type": "auth.expiring", "expires_in": 60},
    "message.created": {"type": "message.created", **_EVENT, "seq": 2, "message": MESSAGE_JSON},
    "message.edited": {
        "type": "message.edited", **_EVENT, "seq": 5, "command_id": COMMAND,
        "message": MESSAGE_JSON | {"body": "Shall we?", "edited_at": AT},
    },
    "message.deleted": {
        "type": "message.deleted", **_EVENT, "seq": 6, "command_id": COMMAND,
        "message": MESSAGE_JSON | {"body": None, "deleted_at": AT, "reactions": []},
    },
    "message.completed": {"type": "message.completed", **_EVENT, "actor_id": ASSISTANT, "seq": 7, "message": REPLY_JSON},
    "reaction.added": {
        "type": "reaction.added", **_EVENT, "seq": 3, "command_id": COMMAND, "message_id": MESSAGE, "emoji": "👍",
        "user_id": BEN,
    },
    "reaction.removed": {
        "type": "reaction.removed", **_EVENT, "seq": 8, "command_id": COMMAND, "message_id": MESSAGE, "emoji": "👍",
        "user_id": BEN,
    },
    "chat.created": {
        "type": "chat.created", **_EVENT, "seq": 1, "command_id": COMMAND, "chat": SHARED_CHAT | {"head": 1},
        "members": [MEMBER],
    },
    "chat.updated": {"type": "chat.updated", **_EVENT, "seq": 9, "command_id": COMMAND, "chat": SHARED_CHAT | {"head": 9}},
    "member.added": {"type": "member.added", **_EVENT, "seq": 10, "command_id": COMMAND, "member": MEMBER},
    "member.updated": {
        "type": "member.updated", **_EVENT, "seq": 11, "command_id": COMMAND, "member": MEMBER | {"role": "admin"},
    },
    "member.removed": {
        "type": "member.removed", **_EVENT, "seq": 12, "command_id": COMMAND, "user_id": BEN, "reason": "removed",
    },
    "member.unbanned": {"type": "member.unbanned", **_EVENT, "seq": 13, "command_id": COMMAND, "user_id": BEN},
}  # fmt: skip
