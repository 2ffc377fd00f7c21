"""A team's people and history from another service: what is there already stays, what was begun goes on.

Ids follow from the origin's, so that each step may be done again: a person, a chat and a message that were brought before are
met, and nothing is doubled. A message keeps its time as `created_at`; its place in the chat is behind what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from app.application.identity import clean_username
from app.application.other_issuers import username_of
from app.application.ports.errors import Transient
from app.application.ports.external import External, WantedUser
from app.application.ports.origin import BadExport, Origin, OriginChat, OriginMessage, OriginPerson
from app.application.ports.store import CommandLog
from app.domain.command import Command
from app.domain.decide import decide
from app.domain.errors import ParleyError
from app.domain.fold import Limits
from app.domain.ids import derived_id, direct_chat_id, external_chat_id, external_user_id, shard_of
from app.domain.policy import Ask
from app.domain.provisioning import ImportMessage, ProvisionChat
from app.domain.scopes import ServiceScope
from app.domain.state import Outcome
from app.domain.text import NAME_MAX, check_body, clean_name
from app.domain.values import ChatKind

BODY_MAX = 100_000
PEOPLE_A_TIME, MESSAGES_A_TIME = 500, 200
TITLE_MAX = 200
_TRIES = 5

T = TypeVar("T")


@dataclass(slots=True)
class Brought:
    """people, chats, messages: that are new. there: of all three, what was there already. left_out: what couldn't be brought, and
    why, the first of each kind."""

    people: int = 0
    chats: int = 0
    messages: int = 0
    there: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    left: int = 0

    def leave(self, why: str, what: str) -> None:
        self.left += 1
        self.left_out.setdefault(why, what)


class Importing:
    """actor_id: the operator in whose name it is done."""

    def __init__(
        self,
        external: External,
        log: CommandLog,
        ask: Ask,
        new_id: Callable[[], str],
        shards: int,
        limits: Limits,
        actor_id: str,
    ) -> None:
        self._external = external
        self._log = log
        self._ask = ask
        self._new_id = new_id
        self._shards = shards
        self._limits = limits
        self._actor_id = actor_id

    async def bring(self, origin: Origin, told: Callable[[str], None]) -> Brought:
        """told: how far it is, in words. Raises BadExport, Transient."""
        brought = Brought()
        known = await self._people(origin, brought)
        told(f"{len(known)} people, {brought.people} of them new")
        chats = list(origin.chats())
        for number, chat in enumerate(chats, 1):
            await self._chat(origin, chat, known, brought)
            told(f"chat {number} of {len(chats)}: {brought.messages} messages brought, {brought.there} were there")
        return brought

    async def _people(self, origin: Origin, brought: Brought) -> set[str]:
        """Ids there of those who are here now."""
        known: set[str] = set()
        for some in _by(origin.people(), PEOPLE_A_TIME):
            wanted = [self._wanted(origin, one) for one in some]
            there = await self._external.ids_of([one.external_id for one in wanted])
            # Who is here already was perhaps renamed since, by themselves or an operator.
            new = [one for one in wanted if one.external_id not in there]
            put = dict(zip((one.external_id for one in new), await self._put(new), strict=True))
            for one, want in zip(some, wanted, strict=True):
                done = put.get(want.external_id, "")
                if done:
                    brought.leave(done, f"the person {one.id}")
                    continue
                known.add(one.id)
                brought.people += want.external_id in put
                brought.there += want.external_id not in put
        return known

    async def _put(self, wanted: list[WantedUser]) -> list[str]:
        """Of each why not, "" where it was. A username that is somebody else's gets a number."""
        if not wanted:
            return []
        first = await self._external.put_users(self._actor_id, wanted)
        again = [one for one, done in zip(wanted, first, strict=True) if done.account is None]
        numbered = [
            WantedUser(
                one.external_id,
                f"{(one.username or '')[:24]}-{derived_id(one.external_id)[:6]}",
                one.display_name,
                disabled=one.disabled,
                email=one.email,
            )
            for one in again
        ]
        second = {
            one.external_id: done
            for one, done in zip(numbered, await self._external.put_users(self._actor_id, numbered), strict=True)
        }
        both = [second.get(one.external_id, done) for one, done in zip(wanted, first, strict=True)]
        return ["" if done.account is not None else done.reason for done in both]

    def _wanted(self, origin: Origin, one: OriginPerson) -> WantedUser:
        if not one.id:
            raise BadExport("a person without an id")
        try:
            name = clean_username(one.username)
        except ParleyError:
            name = username_of(one.username or one.id)
        try:
            shown = clean_name(one.display_name.replace("\x00", "")[:NAME_MAX], NAME_MAX)
        except ParleyError:
            shown = name
        return WantedUser(_external(origin, one.id), name, shown, disabled=one.disabled or None, email=one.email)

    async def _chat(self, origin: Origin, chat: OriginChat, known: set[str], brought: Brought) -> None:
        ids = {id_: external_user_id(_external(origin, id_)) for id_, _ in chat.members if id_ in known}
        roles = tuple((ids[id_], role) for id_, role in chat.members if id_ in ids)
        if chat.kind not in (ChatKind.DIRECT, ChatKind.GROUP):
            return brought.leave("a chat is direct or group", f"the chat {chat.id}")
        if chat.kind == ChatKind.DIRECT:
            if len(roles) != 2:
                return brought.leave("a direct chat has two people", f"the chat {chat.id}")
            chat_id = direct_chat_id(roles[0][0], roles[1][0])
        else:
            chat_id = external_chat_id(_external(origin, chat.id))
        chat_id = await self._external.call_chat(_external(origin, chat.id), chat_id)
        title = _title(chat)
        made = ProvisionChat(chat.kind, title, roles, created_at=chat.created_at)
        scopes = frozenset({ServiceScope.CHATS.value})
        command = Command(chat_id, self._actor_id, derived_id("import", chat_id), made, scopes=scopes)
        [(outcome, repeat)] = await self._decide([command])
        if outcome.code is not None:
            return brought.leave(outcome.reason, f"the chat {chat.id}")
        brought.chats += not repeat and outcome.seq == 1
        brought.there += repeat or outcome.seq is None
        await self._messages(origin, chat, chat_id, known, brought)

    async def _messages(
        self, origin: Origin, chat: OriginChat, chat_id: str, known: set[str], brought: Brought
    ) -> None:
        new = 0
        for some in _by(origin.messages(chat.id), MESSAGES_A_TIME):
            commands = [
                made for one in some if (made := self._message(origin, chat_id, one, known, brought)) is not None
            ]
            for outcome, repeat in await self._decide(commands) if commands else ():
                if outcome.code is not None:
                    brought.leave(outcome.reason, f"a message of {chat.id}")
                brought.there += repeat
                new += outcome.code is None and not repeat
        brought.messages += new
        if new:
            await self._external.all_read(chat_id)

    def _message(
        self, origin: Origin, chat_id: str, one: OriginMessage, known: set[str], brought: Brought
    ) -> Command | None:
        if one.sender_id not in known:
            brought.leave("somebody said it who isn't among the people", f"the message {one.id}")
            return None
        body = one.body.replace("\x00", "")[:BODY_MAX]
        try:
            check_body(body, BODY_MAX, "body")
        except ParleyError as error:
            brought.leave(error.reason, f"the message {one.id}")
            return None
        sender, id_ = external_user_id(_external(origin, one.sender_id)), _message_id(chat_id, one.id)
        reply_to = _message_id(chat_id, one.reply_to) if one.reply_to else None
        return Command(chat_id, sender, id_, ImportMessage(id_, body, one.created_at, reply_to))

    async def _decide(self, commands: list[Command]) -> list[tuple[Outcome, bool]]:
        """Of each its outcome, and whether it had been decided before: in one transaction, as a worker does, beside which it
        may run."""
        shards = sorted({shard_of(command.chat_id, self._shards) for command in commands})
        for attempt in range(_TRIES):
            try:
                async with self._log.transaction(shards) as transaction:
                    state = await transaction.read(commands)
                    decided = decide(state, commands, self._ask, self._new_id, self._limits)
                    await transaction.write(decided)
                return [(result.outcome, result.repeat) for result in decided.results]
            except Transient:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError("the last try raises")


def _external(origin: Origin, id_: str) -> str:
    return f"{origin.name}:{id_}".replace("/", ":")[:255]


def _message_id(chat_id: str, id_: str) -> str:
    return derived_id("imported message", chat_id, id_)


def _title(chat: OriginChat) -> str | None:
    if chat.kind == ChatKind.DIRECT or not chat.title:
        return None
    try:
        return clean_name(chat.title.replace("\x00", "")[:TITLE_MAX], TITLE_MAX)
    except ParleyError:
        return None


def _by(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """So many at a time."""
    iterator = iter(items)
    while some := list(islice(iterator, count)):
        yield some
