"""Letters by SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from app.adapters.origins import is_loopback
from app.application.ports.errors import Unavailable

_TIMEOUT_S = 20.0


class SmtpMailer:
    """Implements Mailer. url: smtp://user:password@host:port (587; STARTTLS where it is offered, and always before a password that leaves the machine),
    or smtps://… (465)."""

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "smtps"
        self._host, self._port = parts.hostname or "localhost", parts.port or (465 if self._tls else 587)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = sender
        # Before a password it has to be; else where it is offered.
        must = self._user is not None and not is_loopback(self._host)
        self._start_tls = False if self._tls else True if must else None

    async def send(self, to: str, subject: str, text: str) -> None:
        import aiosmtplib  # only who writes letters needs it

        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self._sender, to, subject
        letter["Date"], letter["Message-ID"] = (
            formatdate(),
            make_msgid(domain=self._sender.rpartition("@")[2].rstrip(">")),
        )
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text)
        try:
            await aiosmtplib.send(
                letter,
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=self._password,
                use_tls=self._tls,
                start_tls=self._start_tls,
                timeout=_TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Unavailable(type(error).__name__) from error
