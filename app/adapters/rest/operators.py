"""The operators' calls: who there is, disabling, roles, and the record of it all."""

from __future__ import annotations

from fastapi import APIRouter, Query, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import BearerArg, CursorsArg, Limit, PathId, Route, UseCasesArg, answer, refuse_nulls
from app.adapters.rest.problems import responses
from app.adapters.wire import people as wire
from app.adapters.wire.values import Listed
from app.application.ports.people import Account, AuditEntry
from app.domain.errors import Code
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


@router.patch("/users/{user_id}", summary="Disable a person, or change their role", response_model=wire.AccountJson,
              responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def change_user(user_id: PathId, body: wire.AccountChanges, who: BearerArg, use_cases: UseCasesArg) -> Response:
    refuse_nulls(body)
    return answer(wire.account_json(await use_cases.operators.change(who, user_id, body.disabled, body.role)))


@router.get("/audit", summary="What operators did, newest first", response_model=Listed[wire.AuditJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def audit(
    who: BearerArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[AuditEntry] = Paging(cursors, who.user_id, "audit", cursor, limit, str)
    found = await use_cases.operators.audit(who, paging.place[0] if paging.place else None, paging.to_ask)
    return answer(paging.page(found, wire.audit_json, lambda entry: [entry.id]))
