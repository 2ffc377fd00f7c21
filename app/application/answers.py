"""How an assistant's answers came about, for who may read them."""

from __future__ import annotations

from dataclasses import dataclass

from app.application.authorize import Pep, Reader
from app.application.ports.history import History
from app.application.ports.jobs import Provenance, Provenances
from app.application.ports.people import Accounts, Bearer
from app.domain.errors import Code, ParleyError, not_found
from app.domain.policy import Question
from app.domain.values import Message

_CONFIGURE = "assistant.configure"


@dataclass(frozen=True, slots=True)
class Origins:
    """Of one reply. configures: whether the reader may configure assistants, and sees what its provider said."""

    reply: Message
    provenance: Provenance
    configures: bool


class Answers:
    """Each raises ParleyError."""

    def __init__(
        self, pep: Pep, reader: Reader, history: History, provenances: Provenances, accounts: Accounts
    ) -> None:
        self._pep = pep
        self._reader = reader
        self._history = history
        self._provenances = provenances
        self._accounts = accounts

    async def origins(self, bearer: Bearer, chat_id: str, message_id: str) -> Origins:
        async def found() -> tuple[Message, Provenance]:
            message = await self._history.message(chat_id, message_id)
            if message is None:
                raise not_found()
            provenance = await self._provenances.of(chat_id, message_id)
            if provenance is None:
                raise ParleyError(Code.CONFLICT, "this message is no assistant's reply")
            return message, provenance

        reply, provenance = await self._reader.read(bearer.user_id, chat_id, found)
        account = await self._accounts.by_id(bearer.user_id)
        asked = Question(_CONFIGURE, role=account.role if account else "")
        return Origins(reply, provenance, self._pep.ask(asked).allowed)
