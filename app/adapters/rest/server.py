"""The server API over REST: for a host's backend, with a service's key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.adapters.rest.accounts import client_of
from app.adapters.rest.door import RULES, AnyBearerArg, Limit, Route, UseCasesArg, answer, made, nothing
from app.adapters.rest.problems import responses
from app.adapters.wire import people
from app.adapters.wire import server as wire
from app.adapters.wire.messages import MessageJson, message_json
from app.adapters.wire.problems import status_of
from app.adapters.wire.values import ListedBySeq
from app.application.ports.external import PutUser
from app.application.ports.people import Account
from app.domain.errors import Code, ParleyError
from app.domain.text import check_text

router = APIRouter(route_class=Route, prefix="/v1/server", tags=["server API"])

ExternalId = Annotated[str, Path(min_length=1, max_length=255, description="what the host calls it")]


@router.put("/users/{external_id}", summary="A user, as the host has them", response_model=wire.HostedUserJson,
            description="201 where they are new, else 200. What isn't named stays. Roles aren't set here. A username that"
            " somebody else has, and a user that was erased, are `conflict`.",
            responses=responses(Code.NOT_ALLOWED, Code.CONFLICT, Code.TOO_LARGE))  # fmt: skip
async def put_user(
    external_id: ExternalId, body: wire.UserChanges, who: AnyBearerArg, use_cases: UseCasesArg
) -> Response:
    [put] = await use_cases.server.put_users(who, [body.wanted(check_text(external_id, "external_id"))])
    return answer(wire.hosted_user_json(_account(put)), 201 if put.made else 200)


def _account(put: PutUser) -> Account:
    if put.account is None:
        raise ParleyError(put.code or Code.CONFLICT, put.reason)
    return put.account


@router.post("/users:batch", summary="Up to 1,000 users, as the host has them", response_model=wire.PutUsersJson,
             responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def put_users(body: wire.ManyUsers, who: AnyBearerArg, use_cases: UseCasesArg) -> Response:
    put = await use_cases.server.put_users(who, [one.wanted(one.external_id) for one in body.users])
    return answer(wire.put_users_json(body.users, put, status_of))


@router.post("/users/{external_id}/tokens", summary="A session of a user's", response_model=people.TokensJson,
             description="The answer of `grant_type=password`.",
             responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def make_token(request: Request, external_id: ExternalId, who: AnyBearerArg, use_cases: UseCasesArg) -> Response:
    signed_in = await use_cases.server.token(who, external_id, client_of(request))
    return answer(people.tokens_json(signed_in))


@router.delete("/users/{external_id}", status_code=204, summary="Erase a user",
               description="Disabled for good; name, attributes and sessions go. What they said stays, as a deleted user's.",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def erase_user(external_id: ExternalId, who: AnyBearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.server.erase(who, external_id)
    return nothing()


@router.put("/chats/{external_id}", summary="A chat with its members, as the host has it",
            response_model=wire.HostedChatJson,
            description="201 where it is new, else 200. A direct chat has two members, and is the one that the two have.",
            responses=responses(*RULES))  # fmt: skip
async def put_chat(
    external_id: ExternalId, body: wire.HostedChatBody, who: AnyBearerArg, use_cases: UseCasesArg
) -> Response:
    members = [(member.external_id, member.role) for member in body.members]
    external_id = check_text(external_id, "external_id")
    chat, is_new = await use_cases.server.put_chat(who, external_id, body.kind, body.title, members, body.exact)
    return answer(wire.hosted_chat_json(chat), 201 if is_new else 200)


@router.post("/chats/{external_id}/messages", status_code=201, summary="Say something, as a bot or as a user",
             response_model=MessageJson,
             description="Without `as` the key's own bot says it, which needn't be in the chat. With it the user does, who has"
             " to be, by their own rights; the message shows `via`. `external_id`: also the chat's id.",
             responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def post_message(
    external_id: ExternalId, body: wire.HostedMessage, who: AnyBearerArg, use_cases: UseCasesArg
) -> Response:
    done = await use_cases.server.send(who, external_id, body.client_message_id, body.body, body.as_)
    return made(done, message_json, 201)


@router.get("/chats/{external_id}/messages", summary="The history of any chat", response_model=ListedBySeq[MessageJson],
            description="Newest first; with `after` oldest first. That it was read is in the audit.",
            responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def messages(
    external_id: ExternalId,
    who: AnyBearerArg,
    use_cases: UseCasesArg,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="messages below this seq")] = None,
    after: Annotated[int | None, Query(ge=0, le=2**63 - 1, description="messages above this seq")] = None,
    limit: Limit = 50,
) -> Response:
    if before is not None and after is not None:
        raise ParleyError(Code.INVALID, "before or after, not both")
    page = await use_cases.server.history(who, external_id, before, after, limit)
    return Response(page, media_type="application/json")
