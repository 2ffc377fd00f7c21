"""The enforcement point: the only door to the policies, for commands and for reads alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from app.application.bounded import Bounded
from app.application.ports.history import History
from app.application.ports.people import Accounts
from app.application.ports.policies import Policies
from app.domain.errors import ParleyError, not_found
from app.domain.policy import Answer, Question, question
from app.domain.values import Chat, Member

_REMEMBERED_MAX = 10_000
ADMINISTER = "users.administer"

T = TypeVar("T")


class Pep:
    """Asks the PDP and remembers the answer: facts are few and distinct, a decision costs more than all other
    work of a message. A PDP that fails is a refusal."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._remembered: Bounded[Question, Answer] = Bounded(_REMEMBERED_MAX)

    @property
    def attributes(self) -> frozenset[str]:
        """Of people, that rules may look at. They change without an event of any chat: where there are any, nothing is
        decided on what is remembered of a chat."""
        return self._policies.attributes

    def knows(self, action: str) -> bool:
        """Whether there is such an action to ask about; not, where the policies fail."""
        try:
            return self._policies.knows(action)
        except Exception:
            return False

    def forget(self) -> None:
        """The rules are others now."""
        self._remembered.clear()

    def ask(self, asked: Question) -> Answer:
        if asked.person:
            known = self._policies.attributes
            asked = replace(asked, person=tuple(one for one in asked.person if one[0] in known))
        answer = self._remembered.get(asked)
        if answer is None:
            try:
                answer = self._policies.decide(asked)
            except Exception:
                return Answer(False, ("no-decision",), reason="the policies could not be asked")
            self._remembered[asked] = answer
        return answer


async def asked_of_service(pep: Pep, accounts: Accounts, user_id: str, action: str) -> Answer:
    """Whether this account may do it to the service itself. Read anew each time: who is no operator any more does nothing
    more."""
    account = await accounts.by_id(user_id)
    if account is None:
        return pep.ask(Question(action))
    return pep.ask(Question(action, role=account.role, person=account.told))


async def permit_of_service(pep: Pep, accounts: Accounts, user_id: str, action: str) -> None:
    """Raises ParleyError where it may not."""
    answer = await asked_of_service(pep, accounts, user_id, action)
    if not answer.allowed:
        raise ParleyError(answer.code, answer.reason, policies=answer.policies)


class Reader:
    """The door for reads: who may, and the chat they may read."""

    def __init__(self, pep: Pep, history: History) -> None:
        self._pep = pep
        self._history = history

    async def permit(self, user_id: str, chat_id: str, action: str = "chat.read", **facts: Any) -> tuple[Chat, Member]:
        """The chat and the reader's membership, or ParleyError; a stranger hears what a missing chat says."""
        chat, member = await self._history.chat_for(chat_id, user_id)
        answer = self._pep.ask(question(action, chat, member, self._history.now(), **facts))
        if not answer.allowed:
            raise ParleyError(answer.code, answer.reason, policies=answer.policies)
        if chat is None or member is None:
            raise not_found()
        return chat, member

    async def read(
        self, user_id: str, chat_id: str, work: Callable[[Member], Awaitable[T]], action: str = "chat.read"
    ) -> T:
        """What `work` reads of a chat for this member, who may read it: permission and page are of one moment. Where they can't be, it
        is asked once more behind it: a removal in between had committed, perhaps, before it was read. Raises ParleyError."""
        while True:
            async with self._history.one_view() as of_one_moment:
                _, member = await self.permit(user_id, chat_id, action)
                found = await work(member)
            if of_one_moment:
                return found
            _, again = await self.permit(user_id, chat_id, action)
            if again.joined_seq == member.joined_seq:
                return found
