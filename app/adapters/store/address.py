"""A database's address as hosts give it, by libpq's meaning, for the driver that we have.

Source: PostgreSQL documentation, "34.1.1.3 Connection URIs" and "34.1.2 Parameter Key Words".
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
_TIMEOUT_S = 5.0
_DRIVERS = frozenset((
    "host", "port", "user", "password", "dbname", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl",
    "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname",
))  # fmt: skip
"""What the driver reads of an address by itself, with libpq's meaning."""
_WITHOUT_EFFECT = {
    "keepalives": None, "keepalives_idle": None, "keepalives_interval": None, "keepalives_count": None,
    "tcp_user_timeout": None, "load_balance_hosts": ("disable",), "client_encoding": ("utf8", "UTF8", "auto"),
    "channel_binding": ("disable", "prefer"), "gssencmode": ("disable", "prefer"), "sslcompression": ("0",),
    "sslnegotiation": ("postgres",),
}  # fmt: skip
"""What changes nothing here; of some only these values."""


class BadAddress(ValueError):
    """What of it isn't understood; never what it holds of secrets."""


@dataclass(frozen=True, slots=True)
class Address:
    """dsn: what the driver is told. timeout_s: of connecting. settings: of the session."""

    dsn: str
    timeout_s: float
    settings: dict[str, str]


def is_postgresql(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES


def postgresql(url: str) -> Address:
    """Raises BadAddress."""
    head, slashes, rest = url.partition("://")
    who, at, place = rest.rpartition("@")  # a password may hold whatever a URL cannot
    try:
        parts = urlsplit(f"{head}{slashes}{place}")
        parameters = parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True)
    except ValueError:
        raise BadAddress("its form isn't understood") from None
    name, colon, password = who.partition(":")
    credentials = f"{_quoted(name)}{colon}{_quoted(password)}{at}"
    kept: list[tuple[str, str]] = []
    timeout_s, settings = _TIMEOUT_S, {}
    for name, value in parameters:
        if name in _DRIVERS:
            kept.append((name, value))
        elif name == "connect_timeout":
            if not (value.isascii() and value.isdigit()):
                raise BadAddress("connect_timeout takes seconds")
            timeout_s = max(2.0, float(value)) if float(value) else _TIMEOUT_S
        elif name == "application_name":
            settings[name] = value
        elif name == "fallback_application_name":
            settings.setdefault("application_name", value)
        elif name == "options":
            settings |= _options(value)
        elif name not in _WITHOUT_EFFECT:
            raise BadAddress(f"{name} isn't understood")
        elif (good := _WITHOUT_EFFECT[name]) is not None and value not in good:
            raise BadAddress(f"{name}={value} isn't supported (only {', '.join(good)})")
    hosts = parts.netloc.count(",") + 1  # the driver's bound is one for all of them
    made = parts._replace(scheme="postgresql", netloc=f"{credentials}{parts.netloc}", query=urlencode(kept))
    return Address(made.geturl(), timeout_s * hosts, settings)


def _quoted(text: str) -> str:
    """Percent-encoded, where it isn't yet."""
    return quote(unquote(text), safe="")


def _options(text: str) -> dict[str, str]:
    """Settings as the server's command line takes them: -c name=value, or --name=value."""
    found = {}
    words = iter(text.split())
    for word in words:
        setting = next(words, "") if word == "-c" else word.removeprefix("-c").removeprefix("--")
        name, equals, value = setting.partition("=")
        if not word.startswith("-") or not equals:
            raise BadAddress("options takes -c name=value")
        found[name.replace("-", "_")] = value
    return found
