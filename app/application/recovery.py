"""Forgotten passwords: a link that is good once, from an operator or by e-mail."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from app.application.authorize import ADMINISTER, Pep, permit_of_service
from app.application.background import Background
from app.application.identity import Identity
from app.application.keys import hash_of
from app.application.ports.codes import Codes, Purpose
from app.application.ports.mail import Mailer
from app.application.ports.people import Account, Accounts, Bearer
from app.domain.errors import Code, ParleyError
from app.domain.values import UserKind

LINK_TTL_S = 24 * 3_600.0
LETTER_EACH_S = 300.0
"""To one person."""

_LETTER = """Somebody, you perhaps, said that you forgot your password of {username}.

Set a new one here, within 24 hours and once:
{url}

If it wasn't you, there is nothing to do: the password stays as it is.
"""


class Recovery:
    """public_url: under which people reach the service, without a slash at its end. mailer: None where no letters are sent.
    trouble: told what a letter failed by."""

    def __init__(
        self,
        codes: Codes,
        accounts: Accounts,
        identity: Identity,
        pep: Pep,
        mailer: Mailer | None,
        background: Background,
        trouble: Callable[[str, BaseException], None],
    ) -> None:
        self._codes = codes
        self._accounts = accounts
        self._identity = identity
        self._pep = pep
        self._mailer = mailer
        self._background = background
        self._trouble = trouble

    async def link(self, bearer: Bearer, user_id: str, public_url: str) -> tuple[str, datetime]:
        """(the link, until when it is good). Those before it are good no more. Raises ParleyError."""
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        account = await self._accounts.by_id(user_id)
        if account is None:
            raise ParleyError(Code.NOT_FOUND, "no such person")
        return await password_link(self._codes, self._accounts, account, bearer.user_id, public_url)

    async def forgotten(self, username: str, public_url: str) -> None:
        """A letter goes where the person gave an address; whether there is one isn't told."""
        if self._mailer is not None:
            self._background.create_task(self._write(self._mailer, username.strip().lower(), public_url))

    async def _write(self, mailer: Mailer, username: str, public_url: str) -> None:
        try:
            account = await self._accounts.by_name(username)
            if account is None or account.email is None or _why_not(account) is not None:
                return
            code = secrets.token_urlsafe(32)
            made = await self._codes.add(
                hash_of(code), Purpose.PASSWORD, account.id, LINK_TTL_S, {}, each_s=LETTER_EACH_S
            )
            if made is not None:
                text = _LETTER.format(username=account.username, url=_url(public_url, code))
                await mailer.send(account.email, "A new password", text)
        except Exception as error:
            self._trouble("a letter", error)

    async def reset(self, code: str, new_password: str, address: str) -> None:
        """Sets the password, and ends all sessions. Raises ParleyError."""
        if await self._codes.look(hash_of(code), Purpose.PASSWORD) is None:
            raise _no_code()
        hashed = await self._identity.hashed(new_password, address)
        used = await self._codes.use(hash_of(code), Purpose.PASSWORD)
        account = await self._accounts.by_id(used.user_id) if used is not None else None
        if account is None or _why_not(account) is not None:
            raise _no_code()
        await self._identity.tell_ended(account.id, await self._accounts.change_password(account.id, hashed, None))


async def password_link(
    codes: Codes, accounts: Accounts, account: Account, actor_id: str | None, public_url: str
) -> tuple[str, datetime]:
    """As `Recovery.link`; actor_id: None at the command line. What was done is written down."""
    why_not = _why_not(account)
    if why_not is not None:
        raise ParleyError(Code.CONFLICT, why_not)
    code = secrets.token_urlsafe(32)
    until = await codes.add(hash_of(code), Purpose.PASSWORD, account.id, LINK_TTL_S, {})
    assert until is not None
    await accounts.write_down(actor_id, "password.linked", account.id)
    return _url(public_url, code), until


def _why_not(account: Account) -> str | None:
    if account.kind != UserKind.HUMAN:
        return "only people have passwords"
    return "this account is disabled" if account.disabled else None


def _url(public_url: str, code: str) -> str:
    """The code is behind the `#`: no server sees it, and no log."""
    return f"{public_url}/password#code={code}"


def _no_code() -> ParleyError:
    return ParleyError(Code.NOT_FOUND, "this link is not good any more")


__all__ = ["LINK_TTL_S", "Recovery", "password_link"]
