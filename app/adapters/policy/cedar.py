"""The decision point: Cedar, in the process, over the files of a policy folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from app.domain.errors import Code
from app.domain.policy import USE_SERVER, Answer, Question, facts_of

# Where several refusals hold, the one told is the most basic: what cannot be seen, then what cannot be changed
# by waiting, then the state of the chat, then one's own; a code that is not here comes last.
_PRECEDENCE = (Code.NOT_FOUND, Code.BANNED, Code.NOT_ALLOWED, Code.ARCHIVED, Code.MUTED)

_ERROR = ("policy-error",)
"""The decision of a question that the schema doesn't know, or that a policy failed at."""


class PolicyError(Exception):
    """The policy files don't parse, or say what the schema does not know. The process must not start."""


@dataclass(frozen=True, slots=True)
class _Read:
    text: str
    schema: str

    @property
    def version(self) -> str:
        return hashlib.sha256((self.text + self.schema).encode()).hexdigest()[:16]

    @property
    def attributes(self) -> frozenset[str]:
        """Of people, that the schema declares."""
        found = re.search(r"\btype\s+Attributes\s*=\s*\{(.*?)\}", re.sub(r"//[^\n]*", "", self.schema), re.DOTALL)
        return frozenset(re.findall(r"\"?(\w+)\"?\s*\?\s*:", found[1])) if found else frozenset()


def read(folder: Path) -> _Read:
    """What stands in it. Raises PolicyError where it isn't all there."""
    files = sorted(folder.glob("*.cedar"))
    text = "\n".join(file.read_text() for file in files)
    schema = "\n".join(file.read_text() for file in sorted(folder.glob("*.cedarschema")))
    if not files or not schema:
        raise PolicyError(f"no policies and schema in {folder}")
    return _Read(text, schema)


class CedarPolicies:
    """Answers questions by the policies of a folder; 50-90 µs each (docs/decisions/0004-cedar.md), so ask through
    the PEP, which remembers. `version` is a hash of the files, `attributes` are those of people that the schema declares."""

    def __init__(self, folder: Path) -> None:
        found = read(folder)
        text, schema = found.text, found.schema
        self.version = found.version
        self.attributes = found.attributes
        try:
            self._schema = cedarpy.Schema.from_str(schema)
            self._policies = cedarpy.PolicySet.from_str(text)
            valid = cedarpy.validate_policies(text, schema)
            self._annotations = _annotations(text)
        except ValueError as error:
            raise PolicyError(f"policies in {folder}: {error}") from error
        if not valid:
            raise PolicyError(f"policies in {folder}: {'; '.join(map(str, valid.errors))}")
        self._entities = cedarpy.Entities.from_json_str("[]", self._schema)  # the groups of actions are its

    def decide(self, question: Question) -> Answer:
        request = self._request(question.action, facts_of(question))
        return self._answer(cedarpy.is_authorized(request, self._policies, self._entities, self._schema))

    def decide_all(self, asked: Sequence[tuple[str, dict[str, Any]]]) -> list[Answer]:
        """Of each (action, its facts by name, as they were told once). What the schema doesn't declare of the person isn't told."""
        requests = [self._request(action, facts) for action, facts in asked]
        return [
            self._answer(result) for result in cedarpy.is_authorized_batch(requests, self._policies, self._entities)
        ]

    def _request(self, action: str, facts: dict[str, Any]) -> dict[str, Any]:
        person = {name: one for name, one in facts.get("person", {}).items() if name in self.attributes}
        return {
            "principal": {"type": "Service" if action == USE_SERVER else "User", "id": "asker"},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Chat", "id": "chat"},
            "context": facts | {"person": person},
        }

    def _answer(self, result: cedarpy.AuthzResult) -> Answer:
        if result.diagnostics.errors:
            return Answer(False, _ERROR, Code.NOT_ALLOWED, "the policies could not be asked")
        ids = result.diagnostics.id_annotations_by_reason
        policies = tuple(sorted(ids.get(reason, reason) for reason in result.diagnostics.reasons))
        if result.allowed:
            return Answer(True, policies)
        codes = {policy: self._annotations.get(policy, {}).get("code", Code.NOT_ALLOWED) for policy in policies}
        for code in (*_PRECEDENCE, *codes.values()):
            deciding = tuple(policy for policy in policies if codes[policy] == code)
            if deciding:
                return Answer(False, deciding, code, self._annotations[deciding[0]].get("reason", ""))
        return Answer(False, ("denied-by-default",), Code.NOT_ALLOWED, "no policy allows this")

    def knows(self, action: str) -> bool:
        return self.decide(Question(action)).policies != _ERROR


def _annotations(text: str) -> dict[str, dict[str, str]]:
    """@id → all annotations of that policy."""
    policies = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    annotations = [policy.get("annotations", {}) for policy in policies]
    if any("id" not in found for found in annotations):
        raise PolicyError("a policy has no @id")
    return {found["id"]: found for found in annotations}
