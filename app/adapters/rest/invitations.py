"""Invitations over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import (
    RULES,
    BearerArg,
    CursorsArg,
    Limit,
    PublicUrlArg,
    Route,
    UseCasesArg,
    answer,
    made,
    nothing,
)
from app.adapters.rest.problems import responses
from app.adapters.wire import invitations as wire
from app.adapters.wire.chats import ChatJson, chat_json
from app.adapters.wire.values import Listed
from app.application.ports.invitations import Invitation
from app.domain.errors import Code
from app.domain.text import rfc3339

router = APIRouter(route_class=Route, prefix="/v1", tags=["invitations"])

InvitationCode = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


@router.post("/invitations", status_code=201, summary="Invite by link",
             description="Into a chat by who may add members to it; without `chat_id` into the service, by operators, and"
             " whom the policies let.",
             response_model=wire.InvitationJson, responses=responses(*RULES))  # fmt: skip
async def invite(
    body: wire.NewInvitation, who: BearerArg, use_cases: UseCasesArg, public_url: PublicUrlArg
) -> Response:
    invitation = await use_cases.invitations.create(who, body.chat_id, body.uses, body.expires_at)
    return answer(wire.invitation_json(invitation, public_url), 201)


@router.get("/invitations", summary="My invitations, newest first; operators see all",
            response_model=Listed[wire.InvitationJson], responses=responses())  # fmt: skip
async def invitations(
    who: BearerArg, use_cases: UseCasesArg, cursors: CursorsArg, public_url: PublicUrlArg, cursor: str | None = None,
    limit: Limit = 50,
) -> Response:  # fmt: skip
    paging: Paging[Invitation] = Paging(cursors, who.user_id, "invitations", cursor, limit, str, str)
    before = (datetime.fromisoformat(paging.place[0]), paging.place[1]) if paging.place else None
    found = await use_cases.invitations.all(who, before, paging.to_ask)
    return answer(
        paging.page(
            found,
            lambda one: wire.invitation_json(one, public_url),
            lambda one: [rfc3339(one.created_at), one.code],
        )
    )


@router.delete("/invitations/{code}", status_code=204, summary="Nobody comes by it any more",
               responses=responses(Code.NOT_FOUND))  # fmt: skip
async def revoke(code: InvitationCode, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.invitations.end(who, code)
    return nothing()


@router.post("/invitations/{code}/accept", summary="Come into the chat", response_model=ChatJson,
             description="One that isn't good any more, whatever the reason, is `not_found`. What one refused before is"
             " refused no more.",
             responses=responses(*RULES))  # fmt: skip
async def accept(code: InvitationCode, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return made(await use_cases.invitations.accept(who, code), chat_json)
