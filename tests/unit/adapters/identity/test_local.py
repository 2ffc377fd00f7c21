"""Tokens, and passwords."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest

from app.adapters.identity.local import Argon2Passwords, JwtTokens
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from tests.held import held


def test_tokens_are_good_where_every_claim_is() -> None:
    tokens, other = JwtTokens(["a secret of sixteen"], 900), JwtTokens(["another secret..", "a secret of sixteen"], 900)
    user, session = derived_id("u"), derived_id("s")
    good = tokens.issue(user, session)
    assert tokens.verify(good).user_id == other.verify(good).user_id == user
    with pytest.raises(ParleyError):
        tokens.verify(other.issue(user, session))
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    key = tokens._keys[kid]

    def forged(algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
        made = {k: v for k, v in (claims | changes).items() if v is not None}
        return jwt.encode(made, key if algorithm != "none" else None, algorithm, headers or {"kid": kid})  # type: ignore[arg-type]

    assert tokens.verify(forged()).session_id == session
    bad = [
        forged(exp=int(time.time()) - 32), forged(iat=int(time.time()) + 40), forged(exp=int(time.time()) + 90_000), forged(aud="another"), forged(iss="another"), forged(sub="x"), forged(sid="x"),
        forged(sub=None), forged(sid=None), forged(exp=None), forged(iat=None), forged(iss=None), forged(aud=None),
        forged(headers={"kid": "unknown"}), forged(headers={"x": "y"}), forged("HS512"), forged("none"), "", "x.y.z",
        "a" * 5_000, good[:-3],
    ]  # fmt: skip
    for token in bad:
        with pytest.raises(ParleyError, match="unauthenticated"):
            tokens.verify(token)


def test_a_password_is_good_alone_and_nobody_has_one() -> None:
    async def go() -> None:
        passwords = Argon2Passwords(threads=1)
        async with held(passwords):
            hashed = await passwords.hash("a long password", "1.1.1.1")
            assert hashed.startswith("$argon2id$") and hashed != await passwords.hash("a long password", "1.1.1.1"), (
                "its own salt"
            )
            assert await passwords.verify("a long password", hashed, "1.1.1.1")
            assert not await passwords.verify("another password", hashed, "1.1.1.1")
            assert not await passwords.verify("nobody has this password", None, "1.1.1.1"), (
                "whoever isn't there has none"
            )
        with pytest.raises(RuntimeError):
            await passwords.hash("closed", "1.1.1.1")

    asyncio.run(go())
