"""Assistants as they are set up, and prompts that people keep."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, ASSISTANT, AT, COMMAND
from app.adapters.wire.people import DisplayName, Username
from app.adapters.wire.values import Id, Request, Shown, Text
from app.application.assistants import ShownAssistant
from app.application.ports.assistants import KeptPrompt
from app.application.prompts import variables_in
from app.domain.text import NAME_MAX, clean_name, rfc3339

AskedByName = Literal["everyone", "operators", "listed"]
ModelName = Annotated[Text, Field(min_length=1, max_length=200)]
Instructions = Annotated[Text, Field(max_length=8_000)]
Description = Annotated[Text, Field(max_length=1_000)]
PromptName = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=NAME_MAX),
    AfterValidator(lambda name: clean_name(name, NAME_MAX, "name")),
]
PromptText = Annotated[Text, Field(min_length=1, max_length=8_000)]


class Parameters(Request):
    """What the model is told; of what it refuses nothing. Those that are left out are the service's."""

    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None

    def given(self) -> dict[str, float]:
        return {name: value for name, value in self.model_dump().items() if value is not None}


class NewAssistantUser(Request):
    username: Username
    display_name: DisplayName
    description: Description = ""
    model: ModelName | None = None
    provider: Annotated[Text, Field(max_length=64)] = "default"
    parameters: Parameters = Parameters()
    instructions: Instructions | None = None
    asked_by: AskedByName = "everyone"
    listed: list[Id] = Field(default_factory=list, max_length=1_000)


class AssistantUserChanges(Request):
    """What is named changes, all of it at once; `model` and `instructions` take null."""

    display_name: DisplayName | None = None
    description: Description | None = None
    model: ModelName | None = None
    provider: Annotated[Text, Field(max_length=64)] | None = None
    parameters: Parameters | None = None
    instructions: Instructions | None = None
    asked_by: AskedByName | None = None
    listed: list[Id] | None = Field(None, max_length=1_000)


class AssistantUserJson(TypedDict):
    """An assistant. model: null for the provider's. may_ask: whether you may, in a chat with it; policies: those that say no.
    listed, instructions: for who may configure it."""

    user_id: str
    username: str
    display_name: str
    description: str
    model: str | None
    provider: str
    parameters: dict[str, float]
    version: int
    asked_by: AskedByName
    may_ask: bool
    policies: NotRequired[list[str]]
    may_configure: bool
    listed: NotRequired[list[str]]
    instructions: NotRequired[str | None]


class AssistantVersionJson(AssistantUserJson):
    """An assistant as it was from created_at on. created_by: null for the service."""

    created_at: str
    created_by: str | None


def assistant_json(shown: ShownAssistant) -> dict[str, Any]:
    version, may_ask = shown.version, shown.may_ask
    made: dict[str, Any] = {
        "user_id": version.assistant_id,
        "username": version.username,
        "display_name": version.display_name,
        "description": version.description,
        "model": version.model,
        "provider": version.provider,
        "parameters": dict(version.parameters),
        "version": version.version,
        "asked_by": version.asked_by,
        "may_ask": may_ask.allowed,
        "may_configure": shown.configures,
    }
    if not may_ask.allowed:
        made["policies"] = list(may_ask.policies)
    if shown.configures:
        made |= {"listed": list(version.listed), "instructions": version.instructions}
    return made


def version_json(shown: ShownAssistant) -> dict[str, Any]:
    made = {"created_at": rfc3339(shown.version.created_at), "created_by": shown.version.created_by}
    return assistant_json(shown) | made


class NewPrompt(Request):
    name: PromptName
    text: PromptText
    shared: Annotated[bool, Field(strict=True)] = False


class PromptChanges(Request):
    name: PromptName | None = None
    text: PromptText | None = None
    shared: Annotated[bool, Field(strict=True)] | None = None


class PromptJson(TypedDict):
    """variables: the gaps in its text, `{{name}}`, each once, in order. shared: seen by all."""

    id: str
    name: str
    text: str
    variables: list[str]
    shared: bool


def prompt_json(prompt: KeptPrompt) -> dict[str, Any]:
    return {
        "id": prompt.id,
        "name": prompt.name,
        "text": prompt.text,
        "variables": variables_in(prompt.text),
        "shared": prompt.shared,
    }


ASSISTANT_JSON: dict[str, Any] = {
    "user_id": ASSISTANT, "username": "assistant", "display_name": "Assistant", "description": "Answers anything.",
    "model": "gpt-4o-mini", "provider": "default", "parameters": {"temperature": 0.5}, "version": 2, "asked_by": "listed",
    "may_ask": True, "may_configure": True, "listed": [ANNA], "instructions": "Be brief.",
}  # fmt: skip
PROMPT_JSON: dict[str, Any] = {
    "id": COMMAND, "name": "Summary", "text": "Sum up {{what}} for {{whom}}.", "variables": ["what", "whom"], "shared": False,
}  # fmt: skip
BODIES = (
    Shown(
        NewAssistantUser,
        {"username": "librarian", "display_name": "Librarian", "instructions": "Answer from the handbook."},
    ),
    Shown(AssistantUserChanges, {"instructions": "Be brief.", "parameters": {"temperature": 0.5}}),
    Shown(Parameters, {"temperature": 0.5}),
    Shown(AssistantUserJson, ASSISTANT_JSON),
    Shown(AssistantVersionJson, ASSISTANT_JSON | {"created_at": AT, "created_by": ANNA}),
    Shown(NewPrompt, {"name": "Summary", "text": "Sum up {{what}} for {{whom}}."}),
    Shown(PromptChanges, {"name": "Short summary"}),
    Shown(PromptJson, PROMPT_JSON),
)
