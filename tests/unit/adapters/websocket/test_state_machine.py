"""The socket's machine with text alone: every request, in every order, good and bad."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.websocket.state_machine import (
    Authenticate,
    Disconnect,
    Do,
    State,
    StateMachine,
    Submit,
    Tell,
    lines_of,
)
from app.adapters.wire import registry, socket
from app.domain import decide
from app.domain.errors import ParleyError
from app.domain.messages import EditMessage, SendMessage

EXAMPLES = registry.request_examples()
HELLO = json.dumps({"type": "hello", "token": "t"})


def received(machine: StateMachine, text: str) -> list[Any]:
    """What a frame makes it ask for; the hello is found to be good."""
    found = []
    for line in lines_of(text):
        output = machine.receive_line(line)
        found += [output] if output is not None else []
        if isinstance(output, Authenticate):
            machine.authenticated()
    return found


def opened() -> StateMachine:
    machine = StateMachine()
    output = machine.receive_line(HELLO)
    assert isinstance(output, Authenticate) and machine.state is State.AUTHENTICATING
    machine.authenticated()
    return machine


def one(text: str | dict[str, Any], machine: StateMachine | None = None) -> Any:
    outputs = received(machine or opened(), text if isinstance(text, str) else json.dumps(text))
    assert len(outputs) == 1
    return outputs[0]


def refusal(frame: str | dict[str, Any]) -> tuple[str | None, str]:
    output = one(frame)
    assert isinstance(output, Tell), output
    return output.ref, output.error.code


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "hello"])
def test_each_request_of_the_document_is_understood(name: str) -> None:
    output = one(EXAMPLES[name])
    if name in registry.COMMANDS:
        assert isinstance(output, Submit) and type(output.action) is decide.ACTIONS[name]
        assert (output.ref, output.chat_id) == (EXAMPLES[name]["ref"], EXAMPLES[name]["chat_id"])
        assert output.id == EXAMPLES[name].get(registry.COMMANDS[name].id)
    else:
        assert isinstance(output, Do) and output.request.type == name
        assert output.counted == (name not in ("ping", "typing"))


def test_a_message_is_what_was_said() -> None:
    send = EXAMPLES["message.send"]
    output = one({**send, "body": "ü 👍", "reply_to": send["chat_id"]})
    assert output.action == SendMessage("ü 👍", send["chat_id"]) and output.id == send["client_message_id"]
    assert one(EXAMPLES["message.edit"] | {"body": "new"}).action == EditMessage(
        EXAMPLES["message.edit"]["message_id"], "new"
    )


def test_hello_comes_first_and_once() -> None:
    for bad in (
        json.dumps(EXAMPLES["ping"]), '{"type": "hello", "x": 1}', '{"type": "hello", "token": 5}', "[]", "nonsense", "", "5",
    ):  # fmt: skip
        machine = StateMachine()
        output = one(bad, machine)
        assert isinstance(output, Disconnect) and output.code == 4400 and machine.state is State.CLOSED
    both = one({"type": "hello", "token": "t", "ticket": "t"}, StateMachine())
    assert isinstance(both, Disconnect) and both.code == 4400
    assert one({"type": "hello"}, StateMachine()) == Authenticate(socket.Hello(type="hello"))
    assert refusal(HELLO) == (None, "invalid")
    too_many = {"type": "hello", "resume": {"epoch": "e", "chats": {EXAMPLES["sync"]["ref"]: 1}}}
    assert one(too_many, StateMachine()).code == 4400, "a key that is no id fails the whole"


def test_lines_may_follow_hello_in_its_frame_and_a_bad_one_fails_itself_alone() -> None:
    machine = StateMachine()
    ping = json.dumps(EXAMPLES["ping"])
    hello, first, bad, second = received(machine, f"{HELLO}\n\n{ping}\r\n{{\n  \n{ping}\n")
    assert isinstance(hello, Authenticate) and isinstance(first, Do) and isinstance(second, Do)
    assert isinstance(bad, Tell) and bad.error.code == "bad_json" and bad.ref is None


def test_an_empty_frame_is_not_json() -> None:
    assert refusal("") == refusal(" \n ") == (None, "bad_json")


@pytest.mark.parametrize(
    ("frame", "ref", "code"),
    [
        ("[]", None, "invalid"), ("5", None, "invalid"), ("NaN", None, "bad_json"), ('{"type": ', None, "bad_json"),
        ({"type": "nonsense", "ref": "r"}, "r", "unknown_type"), ({"type": 5, "ref": "r"}, "r", "invalid"),
        ({"ref": "r"}, "r", "invalid"), ({"type": "ping"}, None, "invalid"), ({"type": "ping", "ref": ""}, None, "invalid"),
        ({"type": "ping", "ref": "x" * 65}, None, "invalid"), ({"type": "ping", "ref": 5}, None, "invalid"),
        ({"type": "ping", "ref": "a\x00"}, None, "invalid"), ({"type": "ping", "ref": "r", "more": 1}, "r", "invalid"),
        ({"type": "message.send", "ref": "r", "chat_id": "x", "client_message_id": "x", "body": "b"}, "r", "invalid"),
        (EXAMPLES["message.send"] | {"body": "\x00"}, "1", "invalid"),
        (EXAMPLES["message.send"] | {"body": 5}, "1", "invalid"), (EXAMPLES["reaction.add"] | {"emoji": "x"}, "4", "invalid"),
        (EXAMPLES["message.send"] | {"chat_id": EXAMPLES["message.send"]["chat_id"].upper()}, "1", "invalid"),
        (EXAMPLES["read.mark"] | {"seq": -1}, "8", "invalid"), (EXAMPLES["read.mark"] | {"seq": 2**63}, "8", "invalid"),
        (EXAMPLES["read.mark"] | {"seq": "5"}, "8", "invalid"), (EXAMPLES["read.mark"] | {"seq": True}, "8", "invalid"),
        (EXAMPLES["typing"] | {"ref": "r"}, "r", "invalid"), ('{"type":"ping","ref":"\\ud800"}', None, "invalid"),
    ],
)  # fmt: skip
def test_what_has_no_good_form_is_refused_with_its_ref(frame: Any, ref: str | None, code: str) -> None:
    assert refusal(frame) == (ref, code)


def test_a_refusal_says_where_without_what_was_sent() -> None:
    output = one(EXAMPLES["message.send"] | {"chat_id": "secret words"})
    assert "chat_id" in output.error.reason and "secret" not in output.error.reason


def test_bytes_close_and_after_a_close_nothing_is_heard() -> None:
    machine = opened()
    output = machine.receive_bytes()
    assert isinstance(output, Disconnect) and output.code == 1003
    assert machine.receive_line(json.dumps(EXAMPLES["ping"])) is None
    closed = opened()
    closed.closed()
    assert closed.receive_line(json.dumps(EXAMPLES["ping"])) is None


def test_who_says_no_hello_in_time_is_closed_and_who_did_is_not() -> None:
    machine = StateMachine()
    [output] = machine.hello_timeout()
    assert isinstance(output, Disconnect) and output.code == 4408
    assert opened().hello_timeout() == [] and machine.hello_timeout() == []


def test_going_on_over_the_limits_for_ten_seconds_ends_it() -> None:
    machine = opened()
    for second in range(10):
        assert machine.over_limit(100.0 + second) is None
    output = machine.over_limit(110.0)
    assert output is not None and output.code == 4429 and machine.state is State.CLOSED
    calm = opened()
    for at in (100.0, 102.1, 104.2, 106.3, 108.4, 110.5, 112.6):
        assert calm.over_limit(at) is None, "who pauses for two seconds begins anew"
    assert calm.over_limit(112.7 + 0.1) is None


requests = st.sampled_from([json.dumps(example) for example in EXAMPLES.values()])
odd = st.one_of(
    st.text(max_size=20),
    st.builds(
        lambda base, key, value: json.dumps({**base, key: value}),
        st.sampled_from(list(EXAMPLES.values())),
        st.sampled_from(["type", "ref", "chat_id", "body", "seq", "chats", "extra"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.integers(), max_size=2),
    ),
)
steps = st.lists(
    st.one_of(requests, odd, st.just(HELLO), st.just("bytes"), st.just("timeout"), st.just("over")), max_size=12
)


@given(steps)
def test_whatever_comes_in_whatever_order_the_machine_stands(history: list[str]) -> None:
    machine, authenticated, now = StateMachine(), 0, 0.0
    for step in history:
        before = machine.state
        if step == "bytes":
            outputs: list[Any] = [machine.receive_bytes()] if before is not State.CLOSED else []
        elif step == "timeout":
            outputs = machine.hello_timeout()
        elif step == "over":
            now += 1.0
            outputs = []
            if before is State.OPEN:
                machine.over_limit(now)
        else:
            outputs = received(machine, step)
        for output in outputs:
            if isinstance(output, Authenticate):
                authenticated += 1
                assert before is State.HELLO
            elif isinstance(output, Disconnect):
                assert machine.state is State.CLOSED and output is outputs[-1]
            elif isinstance(output, Tell):
                assert isinstance(output.error, ParleyError) and output.error.reason
            else:
                assert authenticated == 1
        if before is State.CLOSED:
            assert outputs == []
    assert authenticated <= 1
