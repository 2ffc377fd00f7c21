"""Members and bans, for callers that wait."""

from __future__ import annotations

from app.application.authorize import Reader
from app.application.ports.history import History
from app.application.submit import Done, Submitter
from app.domain.errors import Code, ParleyError, not_found
from app.domain.members import AddMember, BanMember, RemoveMember, UnbanMember, UpdateMember
from app.domain.values import Member, Person


class Members:
    """Each command raises ParleyError, StillOpen; each read ParleyError."""

    def __init__(self, submitter: Submitter, reader: Reader, history: History) -> None:
        self._submitter = submitter
        self._reader = reader
        self._history = history

    async def add(self, actor_id: str, chat_id: str, user_id: str, role: str, id_: str | None) -> Done[Member]:
        done = await self._submitter.run(actor_id, chat_id, AddMember(user_id, role), id_)
        member = await self._after(actor_id, chat_id, user_id)
        return Done(member, done.seq, done.made and done.seq is not None)

    async def refuse(self, user_id: str, chat_id: str, refused: bool) -> None:
        """Not to be added to this chat again, or to be so again: for who is in it or was. Raises ParleyError."""
        _, member = await self._history.chat_for(chat_id, user_id)
        if member is None and await self._history.left_at(chat_id, user_id) is None:
            raise not_found()
        await self._history.refuse(chat_id, user_id, refused)

    async def update(
        self,
        actor_id: str,
        chat_id: str,
        changes: UpdateMember,
        id_: str | None,
    ) -> Done[Member]:
        if "role" in changes.given and changes.role is None:
            raise ParleyError(Code.INVALID, "role: owner, admin, member or reader")
        done = await self._submitter.run(actor_id, chat_id, changes, id_)
        return Done(await self._after(actor_id, chat_id, changes.user_id), done.seq, done.made)

    async def remove(self, actor_id: str, chat_id: str, user_id: str, id_: str | None) -> Done[None]:
        """Oneself: leaving."""
        return await self._submitter.run(actor_id, chat_id, RemoveMember(user_id), id_)

    async def ban(self, actor_id: str, chat_id: str, user_id: str, id_: str | None) -> Done[None]:
        return await self._submitter.run(actor_id, chat_id, BanMember(user_id), id_)

    async def unban(self, actor_id: str, chat_id: str, user_id: str, id_: str | None) -> Done[None]:
        return await self._submitter.run(actor_id, chat_id, UnbanMember(user_id), id_)

    async def _after(self, actor_id: str, chat_id: str, user_id: str) -> Member:
        member = await self._history.member(chat_id, user_id)
        await self._reader.permit(actor_id, chat_id)  # behind the reading: what is later than one's removal isn't shown
        if member is None:
            raise not_found()
        return member

    async def of(self, user_id: str, chat_id: str, after: str | None, limit: int) -> list[Member]:
        return await self._reader.read(user_id, chat_id, lambda _: self._history.members(chat_id, after, limit))

    async def banned(self, user_id: str, chat_id: str, after: str | None, limit: int) -> list[Person]:
        return await self._reader.read(
            user_id, chat_id, lambda _: self._history.bans(chat_id, after, limit), "bans.read"
        )
