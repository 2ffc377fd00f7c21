"""Local identity: argon2 in a small thread pool, and JWTs with one algorithm and all claims required."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256

import jwt
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.application.ports.held import Keep
from app.application.ports.people import Bearer
from app.application.turns import Turns
from app.domain.errors import Code, ParleyError
from app.domain.ids import is_id

WAITING_MAX = 200
"""Of passwords to hash: some four seconds of a core."""
WAITING_EACH_MAX = 50
"""From one address."""
_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_ALGORITHM = "HS256"
_ISSUER = "parley"
_AUDIENCE = "parley"
_CLAIMS = ["sub", "sid", "iat", "exp", "iss", "aud"]
TOKEN_MAX = 4_096
CLOCKS_S = 30.0
"""How far apart clocks may be."""
LIFE_MAX_S = 86_400.0


def _behind_all_else() -> None:
    """Who waits for a message feels it, who waits for a sign-in hardly: this thread gets a third of what another gets."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


class Argon2Passwords:
    """Implements Passwords. At most `threads` at once, so that the loop has a core: each takes some 20 ms of a core and 19 MiB (OWASP's smaller set of parameters)."""

    def __init__(self, threads: int = max(1, min(4, _CORES - 1))) -> None:
        self._hasher = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
        self._pool = ThreadPoolExecutor(threads, "argon2", initializer=_behind_all_else)
        self._nobody = ""
        self._turns = Turns(threads, WAITING_MAX, WAITING_EACH_MAX)

    async def start(self, keep: Keep) -> None:
        self._nobody = await self._hashed("nobody has this password")

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, who: str) -> str:
        async with self._turns.turn(who):
            return await self._hashed(password)

    async def _hashed(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, password)

    async def verify(self, password: str, hashed: str | None, who: str) -> bool:
        loop = asyncio.get_running_loop()
        async with self._turns.turn(who, urgent=True):
            good = await loop.run_in_executor(self._pool, self._hasher.verify, password, hashed or self._nobody)
        return good and hashed is not None


class JwtTokens:
    """Implements Tokens. secrets: the first signs, all verify, so that the secret can be changed in two rolling restarts. A token names
    its key by `kid`, a hash of the key."""

    def __init__(self, secrets: Sequence[str], ttl_s: int) -> None:
        self.ttl_s = ttl_s
        keys = [sha256(b"parley access token\x00" + secret.encode()).digest() for secret in secrets]
        self._keys = {sha256(b"kid\x00" + key).hexdigest()[:16]: key for key in keys}
        self._signing = next(iter(self._keys))

    def issue(self, user_id: str, session_id: str) -> str:
        now = int(time.time())
        claims = {
            "sub": user_id,
            "sid": session_id,
            "iat": now,
            "exp": now + self.ttl_s,
            "iss": _ISSUER,
            "aud": _AUDIENCE,
        }
        return jwt.encode(claims, self._keys[self._signing], algorithm=_ALGORITHM, headers={"kid": self._signing})

    def verify(self, token: str) -> Bearer:
        if len(token) <= TOKEN_MAX:
            try:
                claims = jwt.decode(
                    token,
                    self._keys[jwt.get_unverified_header(token)["kid"]],
                    algorithms=[_ALGORITHM],
                    audience=_AUDIENCE,
                    issuer=_ISSUER,
                    options={"require": _CLAIMS},
                    leeway=CLOCKS_S,
                )
                lives_s = float(claims["exp"]) - float(claims["iat"])
                if is_id(claims["sub"]) and is_id(claims["sid"]) and lives_s <= LIFE_MAX_S:
                    left_s = float(claims["exp"]) - time.time()
                    return Bearer(claims["sub"], claims["sid"], time.monotonic() + left_s)
            except (jwt.PyJWTError, LookupError, ValueError, TypeError):
                pass
        raise ParleyError(Code.UNAUTHENTICATED, "the access token is not good")
