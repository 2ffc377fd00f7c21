"""The operators' calls: who there is, disabling, roles, acts in chats, reports, and the record of it all."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import (
    RULES,
    BearerArg,
    CursorsArg,
    FromDay,
    IdempotencyKey,
    Limit,
    PathId,
    PublicUrlArg,
    Route,
    SessionArg,
    ToDay,
    UseCasesArg,
    answer,
    made,
    nothing,
    refuse_nulls,
)
from app.adapters.rest.problems import responses
from app.adapters.wire import moderation, replies
from app.adapters.wire import people as wire
from app.adapters.wire.members import MemberJson, member_json
from app.adapters.wire.messages import MessageJson, message_json
from app.adapters.wire.values import Id, Listed
from app.application.ports.people import Account, AuditEntry
from app.application.ports.reports import Report
from app.domain.errors import Code, ParleyError
from app.domain.moderation import Act
from app.domain.text import check_text

router = APIRouter(route_class=Route, prefix="/v1/admin", tags=["operators"])


@router.get("/users", summary="All people, by username", response_model=Listed[wire.AccountJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def users(
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    query: str = Query("", max_length=100, description="prefix of username or display name"),
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    prefix = check_text(query, "query")
    paging: Paging[Account] = Paging(cursors, who.user_id, f"admin users {prefix}", cursor, limit, str)
    after = paging.place[0] if paging.place else ""
    found = await use_cases.operators.users(who, prefix, after, paging.to_ask)
    return answer(paging.page(found, wire.account_json, lambda account: [account.username]))


@router.get("/usage", summary="What answers took: a person's, or all", response_model=replies.UseJson,
            responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def usage(
    who: BearerArg,
    use_cases: UseCasesArg,
    user_id: Annotated[Id | None, Query(description="of this person alone; their quotas too")] = None,
    from_: FromDay = None,
    to: ToDay = None,
) -> Response:
    return answer(replies.use_json(await use_cases.answers.use_of(who, user_id, from_, to)))


@router.patch("/users/{user_id}", summary="Disable a person, change their role or quotas", response_model=wire.AccountJson,
              responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def change_user(user_id: PathId, body: wire.AccountChanges, who: BearerArg, use_cases: UseCasesArg) -> Response:
    refuse_nulls(body)
    if who.scopes is not None and (body.disabled is not None or body.role is not None):
        raise ParleyError(Code.NOT_ALLOWED, "disabled and role: not with a key")
    quotas = body.quotas.model_dump(exclude_unset=True) if body.quotas is not None else None
    return answer(wire.account_json(await use_cases.operators.change(who, user_id, body.disabled, body.role, quotas)))


@router.post("/users/{user_id}/password-link", status_code=201, summary="A link to set a new password",
             description="Good once, for a day; those before it are good no more. Setting it ends all sessions.",
             response_model=wire.LinkJson,
             responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def password_link(user_id: PathId, who: SessionArg, use_cases: UseCasesArg, public_url: PublicUrlArg) -> Response:
    return answer(wire.link_json(*await use_cases.recovery.link(who, user_id, public_url)), 201)


@router.get("/audit", summary="What operators did, newest first", response_model=Listed[wire.AuditJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def audit(
    who: BearerArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[AuditEntry] = Paging(cursors, who.user_id, "audit", cursor, limit, str)
    found = await use_cases.operators.audit(who, paging.place[0] if paging.place else None, paging.to_ask)
    return answer(paging.page(found, wire.audit_json, lambda entry: [entry.id]))


# In chats that aren't theirs

ACT = (*RULES, Code.EMPTY)


@router.post("/chats/{chat_id}/owner", summary="Make a person an owner of a chat", response_model=MemberJson,
             description="Who isn't in the chat comes into it. Of a direct chat: `conflict`.",
             responses=responses(*ACT))  # fmt: skip
async def make_owner(
    chat_id: PathId, body: moderation.NewOwner, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    done = await use_cases.operators.make_owner(who, chat_id, body.user_id, body.reason, key)
    return made(done, member_json)


@router.post("/chats/{chat_id}/messages/{message_id}/delete", summary="Delete a message of whatever chat",
             response_model=MessageJson, responses=responses(*ACT))  # fmt: skip
async def delete_message(
    chat_id: PathId,
    message_id: PathId,
    body: moderation.Because,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    return made(await use_cases.operators.delete(who, chat_id, message_id, body.reason, key), message_json)


@router.post("/chats/{chat_id}/members/{user_id}/{act}", status_code=204,
             summary="Mute, unmute, ban or unban a person in whatever chat",
             description="`until`: of a mute or a ban; without it for ever. In a direct chat bans are `conflict`.",
             responses=responses(*ACT))  # fmt: skip
async def on_member(
    chat_id: PathId,
    user_id: PathId,
    act: Literal["mute", "unmute", "ban", "unban"],
    body: moderation.BecauseUntil,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    done = await use_cases.operators.moderate(who, chat_id, Act(act), user_id, body.reason, body.until, key)
    return nothing(done.seq)


@router.get("/messages/{message_id}", summary="A message of whatever chat", response_model=MessageJson,
            description="That it was read is in the audit. A new message is found within 2 s.",
            responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def message(message_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(message_json(await use_cases.operators.message(who, message_id)))


@router.get("/reports", summary="What people reported, newest first", response_model=Listed[moderation.ReportJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def reports(
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    open_: Annotated[bool | None, Query(alias="open", description="only those that are open, or closed")] = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    paging: Paging[Report] = Paging(cursors, who.user_id, f"reports {open_}", cursor, limit, str)
    before = paging.place[0] if paging.place else None
    found = await use_cases.operators.reports(who, open_, before, paging.to_ask)
    return answer(paging.page(found, moderation.report_json, lambda report: [report.id]))


@router.patch("/reports/{report_id}", summary="Close a report", response_model=moderation.ReportJson,
              responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def close_report(
    report_id: PathId, body: moderation.ReportChanges, who: BearerArg, use_cases: UseCasesArg
) -> Response:
    return answer(moderation.report_json(await use_cases.operators.close_report(who, report_id, body.note)))
