"""Assistants over REST: which there are, and for operators what they are; and prompts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import (
    BearerArg,
    CursorsArg,
    Limit,
    PathId,
    Route,
    UseCasesArg,
    answer,
    nothing,
    refuse_nulls,
)
from app.adapters.rest.problems import responses
from app.adapters.wire import assistants as wire
from app.adapters.wire.values import Listed
from app.application.assistants import ShownAssistant
from app.application.ports.assistants import KeptPrompt
from app.domain.errors import Code

router = APIRouter(route_class=Route, prefix="/v1", tags=["assistant"])


@router.get("/assistants", summary="The assistants, by username", response_model=Listed[wire.AssistantUserJson],
            responses=responses())  # fmt: skip
async def assistants(
    who: BearerArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[ShownAssistant] = Paging(cursors, who.user_id, "assistants", cursor, limit, str)
    found = await use_cases.assistants.all(who, paging.place[0] if paging.place else "", paging.to_ask)
    return answer(paging.page(found, wire.assistant_json, lambda shown: [shown.version.username]))


@router.post("/assistants", status_code=201, summary="A new assistant", response_model=wire.AssistantUserJson,
             responses=responses(Code.NOT_ALLOWED, Code.CONFLICT))  # fmt: skip
async def create_assistant(body: wire.NewAssistantUser, who: BearerArg, use_cases: UseCasesArg) -> Response:
    said = _said(body) | {"username": body.username, "display_name": body.display_name}
    return answer(wire.assistant_json(await use_cases.assistants.create(who, **said)), 201)


@router.get("/assistants/{user_id}", summary="An assistant", response_model=wire.AssistantUserJson,
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def assistant(user_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.assistant_json(await use_cases.assistants.one(who, user_id)))


@router.patch("/assistants/{user_id}", summary="Change an assistant: its next version",
              response_model=wire.AssistantUserJson, responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def change_assistant(
    user_id: PathId, body: wire.AssistantUserChanges, who: BearerArg, use_cases: UseCasesArg
) -> Response:
    refuse_nulls(body, but=("model", "instructions"))
    return answer(wire.assistant_json(await use_cases.assistants.change(who, user_id, **_said(body))))


@router.delete("/assistants/{user_id}", status_code=204, summary="An assistant is asked no more",
               description="What it is writing ends as stopped; what it said stays.",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def delete_assistant(user_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.assistants.delete(who, user_id)
    return nothing()


@router.get("/assistants/{user_id}/versions", summary="What an assistant was, newest first",
            response_model=Listed[wire.AssistantVersionJson],
            responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def versions(
    user_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    paging: Paging[ShownAssistant] = Paging(cursors, who.user_id, f"versions {user_id}", cursor, limit, int)
    before = paging.place[0] if paging.place else None
    found = await use_cases.assistants.versions(who, user_id, before, paging.to_ask)
    return answer(paging.page(found, wire.version_json, lambda shown: [shown.version.version]))


def _said(body: wire.NewAssistantUser | wire.AssistantUserChanges) -> dict[str, Any]:
    """What the caller named, as a version has it."""
    said: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if body.parameters is not None and "parameters" in said:
        said["parameters"] = body.parameters.given()
    if "listed" in said:
        said["listed"] = tuple(dict.fromkeys(said["listed"]))
    return said


# Prompts


@router.get("/prompts", summary="My prompts, and those that are shared", response_model=Listed[wire.PromptJson],
            responses=responses())  # fmt: skip
async def prompts(
    who: BearerArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[KeptPrompt] = Paging(cursors, who.user_id, "prompts", cursor, limit, str)
    found = await use_cases.prompts.all(who.user_id, paging.place[0] if paging.place else "", paging.to_ask)
    return answer(paging.page(found, wire.prompt_json, lambda prompt: [prompt.id]))


@router.post("/prompts", status_code=201, summary="Keep a prompt", response_model=wire.PromptJson,
             description="A shared one takes an operator.",
             responses=responses(Code.NOT_ALLOWED, Code.CONFLICT, Code.EMPTY))  # fmt: skip
async def create_prompt(body: wire.NewPrompt, who: BearerArg, use_cases: UseCasesArg) -> Response:
    made = await use_cases.prompts.create(who, body.name, body.text, body.shared)
    return answer(wire.prompt_json(made), 201)


@router.patch("/prompts/{prompt_id}", summary="Change a prompt", response_model=wire.PromptJson,
              responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND, Code.EMPTY))  # fmt: skip
async def change_prompt(
    prompt_id: PathId, body: wire.PromptChanges, who: BearerArg, use_cases: UseCasesArg
) -> Response:
    refuse_nulls(body)
    changed = await use_cases.prompts.change(who, prompt_id, body.name, body.text, body.shared)
    return answer(wire.prompt_json(changed))


@router.delete("/prompts/{prompt_id}", status_code=204, summary="Delete a prompt",
               responses=responses(Code.NOT_ALLOWED, Code.NOT_FOUND))  # fmt: skip
async def delete_prompt(prompt_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.prompts.delete(who, prompt_id)
    return nothing()
