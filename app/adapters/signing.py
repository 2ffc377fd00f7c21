"""What our processes tell each other through others' servers is signed, so that who may write there can't speak for us."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

MAC_BYTES = 16


class Signer:
    """HMAC-SHA256, cut to 16 bytes, of the place and the payload. secrets: the first signs, all verify. purpose: what is
    signed for one is worthless for another."""

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._keys = [hashlib.sha256(f"parley {purpose}\x00{secret}".encode()).digest() for secret in secrets]

    def mac(self, place: str, payload: bytes) -> bytes:
        """place: where it is put, so that it can't be put elsewhere."""
        return self._mac(self._keys[0], place, payload)

    def is_good(self, place: str, payload: bytes, mac: bytes) -> bool:
        return any(hmac.compare_digest(mac, self._mac(key, place, payload)) for key in self._keys)

    def sign(self, place: str, payload: bytes) -> bytes:
        return self.mac(place, payload) + payload

    def open(self, place: str, signed: bytes) -> bytes | None:
        """The payload; None where it isn't ours."""
        mac, payload = signed[:MAC_BYTES], signed[MAC_BYTES:]
        return payload if self.is_good(place, payload, mac) else None

    @staticmethod
    def _mac(key: bytes, place: str, payload: bytes) -> bytes:
        return hmac.digest(key, place.encode() + b"\x00" + payload, "sha256")[:MAC_BYTES]
