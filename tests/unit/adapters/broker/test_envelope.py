"""Envelopes: opened only with a known secret and version; what a newer version put in is carried, never lost."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.broker.envelope import BadEnvelope, EnvelopeCodec, NewerEnvelope
from app.domain.command import Command, UnknownAction
from app.domain.decide import ACTIONS
from tests import actions as c
from tests.unit.memory import CHATS, USERS

CODEC = EnvelopeCodec(["secret"])


def command(action: Any, id_: str = "id") -> Command:
    return Command(CHATS[0], USERS[0], id_, action, "process", True, 7, "00-trace-01", 1.5)


def signed(body: bytes, secret: str = "secret") -> bytes:
    return hmac.digest(EnvelopeCodec([secret])._keys[0], body, "sha256") + body


def test_every_command_comes_out_as_it_went_in() -> None:
    assert {type(action) for action in c.EXAMPLES} == set(ACTIONS.values())
    sent = [command(action) for action in (*c.EXAMPLES, c.SendMessage("x"), c.UpdateMember("u", ("role",), "admin"))]
    assert CODEC.open(CODEC.seal(3, [CODEC.pack_command(each) for each in sent])) == (3, sent, [])


def test_any_known_secret_opens_and_the_first_one_seals() -> None:
    old, new = EnvelopeCodec(["old"]), EnvelopeCodec(["new", "old"])
    packed = [old.pack_command(command(c.SendMessage("x")))]
    assert new.open(old.seal(1, packed)) == (1, [command(c.SendMessage("x"))], [])
    with pytest.raises(BadEnvelope, match="signature"):
        old.open(new.seal(1, packed))


def test_the_signature_is_looked_at_before_anything_else() -> None:
    newer = msgspec.msgpack.encode([2, 3, []])
    with pytest.raises(BadEnvelope, match="signature"):
        CODEC.open(b"\x00" * 32 + newer)
    for form in ([2, 3, []], [2, 3, [], "and more"], [2]):  # of a newer version not even the number of parts is known
        with pytest.raises(NewerEnvelope):
            CODEC.open(signed(msgspec.msgpack.encode(form)))
    for short in (b"", b"x" * 31, b"x" * 32):
        with pytest.raises(BadEnvelope):
            CODEC.open(short)


def test_what_a_newer_version_put_in_is_carried_as_it_came_beside_its_neighbours() -> None:
    fields = {"question": "tea?", "choices": ["yes", "no"], "open_until": None}
    newer = command(UnknownAction("poll.open", fields), "newer")
    sealed = CODEC.seal(1, [CODEC.pack_command(command(c.SendMessage("before"))), CODEC.pack_command(newer)])
    shard, [before, carried], _ = CODEC.open(sealed)
    assert before.action == c.SendMessage("before") and carried == newer
    assert CODEC.open(CODEC.seal(shard, [CODEC.pack_command(carried)]))[1] == [newer], "given on, it is the same"


def test_a_known_name_in_another_form_is_unknown_too() -> None:
    item = ["message.edit", CHATS[0], USERS[0], "id", "", False, 0, {"message": {"id": "m"}}, "", 0.0, "and more", 5]
    _, [found], _ = CODEC.open(signed(msgspec.msgpack.encode([1, 1, [item]])))
    assert found.action == UnknownAction("message.edit", {"message": {"id": "m"}})
    with_more = ["message.pin", CHATS[0], USERS[0], "id", "", False, 0, {"message_id": "m", "until": 5}, "", 0.0]
    _, [found], _ = CODEC.open(signed(msgspec.msgpack.encode([1, 1, [with_more]])))
    assert found.action == c.PinMessage("m")


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91" * 5_000, msgspec.msgpack.encode([1]), msgspec.msgpack.encode({"a": 1}),
                                  msgspec.msgpack.encode([1, 2, 5]),
                                  msgspec.msgpack.encode(["x", 2, []])])  # fmt: skip
def test_what_is_signed_and_has_no_form_is_bad(body: bytes) -> None:
    with pytest.raises(BadEnvelope):
        CODEC.open(signed(body))


packable = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
items = st.lists(packable, max_size=12) | st.tuples(
    st.sampled_from(sorted(ACTIONS)), st.text(), st.text(), st.text(), st.text(), st.booleans(), st.integers(0, 9),
    st.sampled_from([asdict(cast(Any, action)) for action in (*c.EXAMPLES, c.SendMessage("x"), c.UpdateMember("u", ("role",), "admin"))]) | packable, st.text(), st.floats(0, 9),
).map(list)  # fmt: skip


@given(st.one_of(packable, st.tuples(st.integers(0, 3), st.integers(0, 9), st.lists(items, max_size=4)).map(list)))
def test_nothing_that_is_signed_gets_out_but_as_commands_or_a_named_refusal(value: Any) -> None:
    try:
        _, commands, _ = CODEC.open(signed(msgspec.msgpack.encode(value)))
    except (BadEnvelope, NewerEnvelope):
        return
    for found in commands:
        assert type(found.action) in ACTIONS.values() or isinstance(found.action, UnknownAction)


@given(st.binary(max_size=200))
def test_nothing_unsigned_is_read(data: bytes) -> None:
    with pytest.raises(BadEnvelope):
        CODEC.open(data)


def test_a_command_that_cannot_be_read_takes_no_neighbour_with_it() -> None:
    good = [msgspec.msgpack.decode(CODEC.pack_command(command(c.SendMessage(text), text))) for text in ("a", "b")]
    told: list[BaseException] = []
    codec = EnvelopeCodec(["secret"], told.append)
    for bad in ([], 7, None, ["message.send"], good[0][:9]):
        sealed = signed(msgspec.msgpack.encode([1, 3, [good[0], bad, good[1]]]))
        told.clear()
        shard, commands, [letter] = codec.open(sealed)
        assert (shard, commands) == (3, [command(c.SendMessage(text), text) for text in ("a", "b")])
        assert len(told) == 1 and type(told[0]).__name__ in letter.reason
        assert letter.body == msgspec.msgpack.encode(bad), "it is given on as it came"
    with pytest.raises(BadEnvelope) as refused:
        codec.open(signed(msgspec.msgpack.encode([1, 3, 7])))
    assert refused.value.signed
    with pytest.raises(BadEnvelope) as refused:
        codec.open(b"\x00" * 40)
    assert not refused.value.signed
