"""What a host's backend does with a key of its own: users, their tokens, chats, and what is said in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.application.authorize import Pep
from app.application.bounded import Bounded
from app.application.identity import Identity, SignedIn, clean_username
from app.application.ports.external import External, PutUser, WantedUser
from app.application.ports.history import History
from app.application.ports.people import Account, Accounts, Bearer
from app.application.ports.socket import Codec
from app.application.profiles import Profiles, check_preferences
from app.application.submit import Done, Submitter
from app.domain.command import Action
from app.domain.errors import Code, ParleyError, not_found
from app.domain.ids import direct_chat_id, external_chat_id, is_id
from app.domain.policy import USE_SERVER, KeyFacts, Question
from app.domain.provisioning import PostMessage, ProvisionChat
from app.domain.scopes import ServiceScope
from app.domain.values import Chat, ChatKind, Message

USERS_MAX = 1_000
"""Of one call."""
_NOTED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class HostedChat:
    """A chat, and what the host calls it."""

    external_id: str
    chat: Chat


class Server:
    """Each raises ParleyError; commands StillOpen."""

    def __init__(
        self,
        external: External,
        accounts: Accounts,
        identity: Identity,
        profiles: Profiles,
        submitter: Submitter,
        history: History,
        codec: Codec,
        pep: Pep,
        new_id: Callable[[], str],
    ) -> None:
        self._external = external
        self._accounts = accounts
        self._identity = identity
        self._profiles = profiles
        self._submitter = submitter
        self._history = history
        self._codec = codec
        self._pep = pep
        self._new_id = new_id
        self._noted: Bounded[tuple[str, str], int] = Bounded(_NOTED_MAX)

    def permit(self, bearer: Bearer, scope: ServiceScope) -> None:
        """A service's key alone, with that scope."""
        scopes = bearer.scopes or frozenset()
        answer = self._pep.ask(Question(USE_SERVER, key=KeyFacts(scopes, scope)))
        if not answer.allowed:
            raise ParleyError(
                answer.code, f"this takes a service's key with the scope {scope}", policies=answer.policies
            )

    # Users

    async def put_users(self, bearer: Bearer, wanted: Sequence[WantedUser]) -> list[PutUser]:
        """Each by itself: one that can't be leaves the others."""
        self.permit(bearer, ServiceScope.USERS)
        checked = [_checked(one) for one in wanted]
        good = [one for one in checked if isinstance(one, WantedUser)]
        done = iter(await self._external.put_users(bearer.user_id, good) if good else [])
        put = [next(done) if isinstance(one, WantedUser) else one for one in checked]
        for one in put:
            if one.account is not None:
                await self._identity.tell_ended(one.account.id, one.ended)
                if one.account.disabled and one.ended:
                    await self._identity.end_bots(one.account.id)
                if one.renamed:
                    await self._profiles.tell_all(one.account.person)
        return put

    async def user(self, external_id: str) -> Account:
        account = await self._external.user(external_id)
        if account is None:
            raise ParleyError(Code.NOT_FOUND, "no such user")
        return account

    async def token(self, bearer: Bearer, external_id: str, client: str) -> SignedIn:
        """A session of the user's."""
        self.permit(bearer, ServiceScope.TOKENS)
        account = await self.user(external_id)
        if account.disabled:
            raise ParleyError(Code.CONFLICT, "this user is disabled")
        _check_no_operator(account)
        await self._accounts.write_down(bearer.user_id, "token.issued", account.id, key_id=bearer.session_id)
        return await self._identity.start_for(account, client)

    async def erase(self, bearer: Bearer, external_id: str) -> None:
        """Its name and sessions go, what it said stays."""
        self.permit(bearer, ServiceScope.USERS)
        account = await self.user(external_id)
        _check_no_operator(account)
        ended = await self._external.erase(bearer.user_id, account.id)
        if ended is not None:
            await self._identity.tell_ended(account.id, ended)
            await self._identity.end_bots(account.id)
            after = await self._accounts.by_id(account.id)
            assert after is not None
            await self._profiles.tell_all(after.person)

    # Chats

    async def put_chat(
        self,
        bearer: Bearer,
        external_id: str,
        kind: str,
        title: str | None,
        members: Sequence[tuple[str, str]],
        exact: bool,
    ) -> tuple[HostedChat, bool]:
        """members: (external id, role). (the chat as it is now, whether it is new.)"""
        self.permit(bearer, ServiceScope.CHATS)
        ids = await self._external.ids_of([of for of, _ in members])
        unknown = [of for of, _ in members if of not in ids]
        if unknown:
            raise ParleyError(Code.INVALID, f"members: no such users: {', '.join(unknown[:5])}")
        wanted = tuple({ids[of]: role for of, role in members}.items())
        if kind == ChatKind.DIRECT:
            if len(wanted) != 2:
                raise ParleyError(Code.INVALID, "members: a direct chat has exactly two")
            chat_id = direct_chat_id(wanted[0][0], wanted[1][0])
        else:
            chat_id = external_chat_id(external_id)
        if await self._external.call_chat(external_id, chat_id) != chat_id:
            raise ParleyError(Code.CONFLICT, "another chat is called so")
        before, _ = await self._history.chat_for(chat_id, bearer.user_id)
        await self._run(bearer, bearer.user_id, chat_id, ProvisionChat(kind, title, wanted, exact), self._new_id())
        chat, _ = await self._history.chat_for(chat_id, bearer.user_id)
        if chat is None:
            raise not_found()
        return HostedChat(external_id, chat), before is None

    async def send(
        self, bearer: Bearer, external_id: str, client_message_id: str, body: str, as_: str | None
    ) -> Done[Message]:
        """as_: the external id of who says it; None for the key's own bot."""
        self.permit(bearer, ServiceScope.MESSAGES)
        chat_id = await self._chat_id(external_id)
        actor_id, via = bearer.user_id, ""
        if as_ is not None:
            account = await self.user(as_)
            if account.disabled:
                raise ParleyError(Code.CONFLICT, "this user is disabled")
            bot = await self._accounts.by_id(bearer.user_id)
            actor_id, via = account.id, bot.display_name if bot is not None else "a service"
        action = PostMessage(body, bearer.session_id, via)
        done = await self._run(bearer, actor_id, chat_id, action, client_message_id)
        message = await self._history.message_at(chat_id, done.seq) if done.seq is not None else None
        if message is None:
            raise not_found()
        return Done(message, done.seq, done.made)

    async def history(
        self, bearer: Bearer, external_id: str, before: int | None, after: int | None, limit: int
    ) -> bytes:
        """As encoded. Of any chat; that it was read is in the audit, once an hour."""
        self.permit(bearer, ServiceScope.MESSAGES)
        chat_id = await self._chat_id(external_id)
        hour = int(self._history.now().timestamp()) // 3_600
        if self._noted.get((bearer.session_id, chat_id)) != hour:
            await self._accounts.write_down(bearer.user_id, "chat.read", chat_id, key_id=bearer.session_id)
            self._noted[(bearer.session_id, chat_id)] = hour
        return self._codec.page(await self._history.messages(chat_id, before, after, limit))

    async def _chat_id(self, external_id: str) -> str:
        """By what the host calls it, or by its id."""
        chat_id = await self._external.chat_id(external_id) or (external_id if is_id(external_id) else None)
        if chat_id is None or (await self._history.chat_for(chat_id, chat_id))[0] is None:
            raise ParleyError(Code.NOT_FOUND, "no such chat")
        return chat_id

    async def _run(self, bearer: Bearer, actor_id: str, chat_id: str, action: Action, id_: str) -> Done[None]:
        return await self._submitter.run(actor_id, chat_id, action, id_, bearer.scopes, bearer.counted)


def _check_no_operator(account: Account) -> None:
    """A host's backend is none: what an operator may is no business of its key."""
    if account.role == "operator":
        raise ParleyError(Code.NOT_ALLOWED, "this user is an operator")


def _checked(one: WantedUser) -> WantedUser | PutUser:
    """As it may be stored, or why it can't be."""
    try:
        if one.attributes is not None:
            check_preferences(dict(one.attributes), "attributes")
        return replace(one, username=clean_username(one.username)) if one.username is not None else one
    except ParleyError as error:
        return PutUser(None, code=error.code, reason=error.reason)
