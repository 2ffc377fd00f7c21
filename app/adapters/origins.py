"""Where a browser's page comes from, and whether that is us."""

from __future__ import annotations

from ipaddress import ip_address


def origin_is_good(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Absent, the same host, or listed; `null` never. allowed: plain ones."""
    if origin is None:
        return True
    made = plain_origin(origin)
    same = (plain_origin(f"http://{host}"), plain_origin(f"https://{host}"))
    return made != "null" and (made in same or made in allowed)


def plain_origin(text: str) -> str:
    """Letter case and a default port make no difference."""
    made = text.lower()
    for scheme, port in (("http://", ":80"), ("https://", ":443")):
        if made.startswith(scheme):
            return made.removesuffix(port)
    return made


def is_loopback(name: str) -> bool:
    """Whether this host is the machine itself."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
