"""The operators' calls: who there is, disabling, roles, and the record of it all."""

from __future__ import annotations

from fastapi import APIRouter, Query, Response

from app.adapters import wire
from app.adapters.rest.accounts import user_json
from app.adapters.rest.door import BearerArg, Limit, PathId, Route, ServicesArg, answer, cursor_of, place_of
from app.adapters.rest.lists import Listed
from app.adapters.rest.problems import responses
from app.application.ports import Account
from app.domain.errors import Code, ParleyError
from app.domain.message import check_text

router = APIRouter(route_class=Route, prefix="/v1/admin", tags=["operators"])


def account_json(account: Account) -> dict[str, object]:
    made = wire.rfc3339_or_none(account.created_at)
    return {**user_json(account), "disabled": account.disabled, "created_at": made}


@router.get("/users", summary="All people, by username", response_model=Listed[wire.AccountJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def users(
    who: BearerArg,
    services: ServicesArg,
    query: str = Query("", max_length=100, description="prefix of username or display name"),
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    prefix = check_text(query, "query")
    place = place_of(services, who, f"admin users {prefix}", cursor, (str,))
    found = await services.operators.users(who, prefix, place[0] if place else "", limit + 1)
    page = found[:limit]
    more = len(found) > limit
    next_cursor = cursor_of(services, who, f"admin users {prefix}", [page[-1].username]) if more else None
    return answer({"items": [account_json(account) for account in page], "next_cursor": next_cursor})


@router.patch("/users/{user_id}", summary="Disable a person, or change their role", response_model=wire.AccountJson,
              responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def change_user(user_id: PathId, body: wire.AccountChanges, who: BearerArg, services: ServicesArg) -> Response:
    for name in body.model_fields_set:
        if getattr(body, name) is None:
            raise ParleyError(Code.INVALID, f"{name}: not null")
    return answer(account_json(await services.operators.change(who, user_id, body.disabled, body.role)))


@router.get("/audit", summary="What operators did, newest first", response_model=Listed[wire.AuditJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def audit(who: BearerArg, services: ServicesArg, cursor: str | None = None, limit: Limit = 50) -> Response:
    place = place_of(services, who, "audit", cursor, (str,))
    found = await services.operators.audit(who, place[0] if place else None, limit + 1)
    page = found[:limit]
    items = [
        {
            "id": entry.id,
            "at": wire.rfc3339(entry.at),
            "actor_id": entry.actor_id,
            "act": entry.act,
            "target_id": entry.target_id,
            "details": entry.details,
        }
        for entry in page
    ]
    next_cursor = cursor_of(services, who, "audit", [page[-1].id]) if len(found) > limit else None
    return answer({"items": items, "next_cursor": next_cursor})
