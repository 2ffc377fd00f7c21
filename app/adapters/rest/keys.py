"""Keys and bots over REST. Who comes with a key makes none, and ends none."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import CursorsArg, Limit, PathId, Route, SessionArg, UseCasesArg, answer, nothing
from app.adapters.rest.problems import responses
from app.adapters.wire import keys as wire
from app.adapters.wire.people import PersonJson, person_json
from app.adapters.wire.values import Listed
from app.application.ports.keys import Key
from app.application.ports.people import Account
from app.domain.errors import Code

router = APIRouter(route_class=Route, prefix="/v1", tags=["keys and bots"])

_ONCE = "The answer alone shows the key itself."


@router.get("/me/keys", summary="My keys", response_model=Listed[wire.KeyJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def keys(
    who: SessionArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[Key] = Paging(cursors, who.user_id, "keys", cursor, limit, str)
    found = await use_cases.keys.mine(who, paging.place[0] if paging.place else None, paging.to_ask)
    return answer(paging.page(found, wire.key_json, lambda key: [key.id]))


@router.post("/me/keys", status_code=201, summary="A key of mine", description=_ONCE, response_model=wire.MadeKeyJson,
             responses=responses(Code.NOT_ALLOWED, Code.CONFLICT))  # fmt: skip
async def make_key(body: wire.NewKey, who: SessionArg, use_cases: UseCasesArg) -> Response:
    key, secret = await use_cases.keys.make(who, body.name, body.scopes, body.expires_at)
    return answer(wire.made_key_json(key, secret), 201)


@router.delete("/me/keys/{key_id}", status_code=204, summary="End a key of mine",
               description="At once, also for its sockets.",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def end_key(key_id: PathId, who: SessionArg, use_cases: UseCasesArg) -> Response:
    await use_cases.keys.end(who, key_id)
    return nothing()


@router.get("/admin/keys", summary="Keys of services", response_model=Listed[wire.KeyJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def service_keys(
    who: SessionArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[Key] = Paging(cursors, who.user_id, "service keys", cursor, limit, str)
    found = await use_cases.keys.of_services(who, paging.place[0] if paging.place else None, paging.to_ask)
    return answer(paging.page(found, wire.key_json, lambda key: [key.id]))


@router.post("/admin/keys", status_code=201, summary="A key for a service", description=_ONCE,
             response_model=wire.MadeKeyJson, responses=responses(Code.NOT_ALLOWED, Code.CONFLICT))  # fmt: skip
async def make_service_key(body: wire.NewServiceKey, who: SessionArg, use_cases: UseCasesArg) -> Response:
    key, secret = await use_cases.keys.make_service(who, body.name, body.scopes, body.expires_at)
    return answer(wire.made_key_json(key, secret), 201)


@router.delete("/admin/keys/{key_id}", status_code=204, summary="End a service's key",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def end_service_key(key_id: PathId, who: SessionArg, use_cases: UseCasesArg) -> Response:
    await use_cases.keys.end_service(who, key_id)
    return nothing()


@router.post("/admin/bots", status_code=201, summary="A bot", description=_ONCE, response_model=wire.MadeBotJson,
             responses=responses(Code.NOT_ALLOWED, Code.CONFLICT))  # fmt: skip
async def make_bot(body: wire.NewBot, who: SessionArg, use_cases: UseCasesArg) -> Response:
    made = await use_cases.bots.create(who, body.username, body.display_name, by_operator=True)
    return answer(wire.made_bot_json(made), 201)


@router.get("/me/bots", summary="Bots that I made", response_model=Listed[PersonJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def bots(
    who: SessionArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[Account] = Paging(cursors, who.user_id, "bots", cursor, limit, str)
    found = await use_cases.bots.mine(who, paging.place[0] if paging.place else "", paging.to_ask)
    return answer(paging.page(found, lambda bot: person_json(bot.person), lambda bot: [bot.username]))


@router.post("/me/bots", status_code=201, summary="A bot of mine, where the policies let me have one", description=_ONCE,
             response_model=wire.MadeBotJson, responses=responses(Code.NOT_ALLOWED, Code.CONFLICT))  # fmt: skip
async def make_own_bot(body: wire.NewBot, who: SessionArg, use_cases: UseCasesArg) -> Response:
    made = await use_cases.bots.create(who, body.username, body.display_name, by_operator=False)
    return answer(wire.made_bot_json(made), 201)


@router.post("/me/bots/{user_id}/key", status_code=201, summary="Another key for a bot, in place of those that it has",
             description=f"By who made it, and by operators. {_ONCE}", response_model=wire.MadeBotJson,
             responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def new_bot_key(user_id: PathId, who: SessionArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.made_bot_json(await use_cases.bots.new_key(who, user_id)), 201)


@router.delete("/me/bots/{user_id}", status_code=204, summary="A bot does nothing any more",
               description="By who made it, and by operators. What it said stays.",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def disable_bot(user_id: PathId, who: SessionArg, use_cases: UseCasesArg) -> Response:
    await use_cases.bots.disable(who, user_id)
    return nothing()
