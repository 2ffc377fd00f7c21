"""Signatures hold for one place and one purpose, by any known secret."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.signing import MAC_BYTES, Signer

OURS = Signer(["new", "old"], "fan-out")


@given(st.text(max_size=20), st.binary(max_size=200), st.integers(0, 300), st.integers(1, 255))
def test_what_was_signed_comes_out_and_with_one_bit_changed_nothing(
    place: str, payload: bytes, at: int, by: int
) -> None:
    signed = OURS.sign(place, payload)
    assert OURS.open(place, signed) == payload and len(signed) == MAC_BYTES + len(payload)
    changed = bytearray(signed)
    changed[at % len(changed)] ^= by
    assert OURS.open(place, bytes(changed)) is None
    assert OURS.open(place + "x", signed) is None, "it can't be put elsewhere"


def test_any_known_secret_verifies_and_the_first_one_signs() -> None:
    old, later = Signer(["old"], "fan-out"), Signer(["later"], "fan-out")
    assert OURS.open("p", old.sign("p", b"x")) == b"x"
    assert old.open("p", OURS.sign("p", b"x")) is None and OURS.open("p", later.sign("p", b"x")) is None
    assert Signer(["old"], "another purpose").open("p", old.sign("p", b"x")) is None
    for short in (b"", b"x" * (MAC_BYTES - 1)):
        assert OURS.open("p", short) is None
