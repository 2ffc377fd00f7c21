"""python -m tests.fuzz [--seconds 60]: what nobody meant, at the doors where bytes come in, guided by coverage.

Each target runs in a process of its own, for so long: envelopes (signed, so that what is behind the signature is reached),
frames of a socket, JSON, what comes on a bare connection. What gets out but as a named refusal is a defect: its input is kept in build/fuzz and shown.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path("build/fuzz")


def envelope() -> Callable[[bytes], None]:
    from app.adapters.broker.envelope import BadEnvelope, EnvelopeCodec, NewerEnvelope

    codec = EnvelopeCodec(["fuzz"])

    def one(data: bytes) -> None:
        body = data[1:]
        mac = b"" if data[:1] == b"\xff" else hmac.digest(codec._keys[0], body, "sha256")
        try:
            codec.open(mac + body)
        except (BadEnvelope, NewerEnvelope):
            pass

    return one


def frame() -> Callable[[bytes], None]:
    from app.adapters.websocket.state_machine import StateMachine, lines_of

    def one(data: bytes) -> None:
        machine = StateMachine()
        machine.receive_line('{"type":"hello","token":"t"}')
        machine.authenticated()
        for line in lines_of(data.decode(errors="replace")):
            machine.receive_line(line)

    return one


def text() -> Callable[[bytes], None]:
    from app.adapters.wire.text import encode, parse
    from app.domain.errors import ParleyError

    def one(data: bytes) -> None:
        try:
            value = parse(data)
        except ParleyError:
            return
        encode(value)

    return one


def connection() -> Callable[[bytes], None]:
    """What comes on a bare connection: heads, bodies and upgrades; the first byte says in what pieces."""
    from tests.unit.adapters.rest.test_transport import Server, status
    from tests.unit.virtual_time import run

    def one(data: bytes) -> None:
        piece = max(1, data[0] if data else 1)

        async def go() -> None:
            protocol, transport = Server().connect()
            speaks: list[Any] = [protocol]  # an upgrade changes it
            transport.set_protocol = speaks.append  # type: ignore[attr-defined]
            for at in range(1, len(data), piece):
                if transport.closed:
                    break
                speaks[-1].data_received(data[at : at + piece])
            await asyncio.sleep(60)
            assert status(transport) != 500

        run(go())

    return one


def seeds(target: str) -> list[bytes]:
    from app.adapters.broker.envelope import EnvelopeCodec
    from app.adapters.wire.registry import COMMANDS, request_examples
    from app.domain.command import Command

    examples = request_examples()
    if target == "envelope":
        codec = EnvelopeCodec(["fuzz"])
        packed = [
            codec.pack_command(Command("0", "1", "2", shape.action(shape.model.model_validate(examples[name]))))
            for name, shape in COMMANDS.items()
        ]
        return [b"\x00" + codec.seal(1, [each])[32:] for each in packed] + [b"\x00" + b"\x91" * 3_000]
    if target == "connection":
        from tests.unit.adapters.rest.test_transport import POST
        from tests.unit.adapters.websocket.test_transport import HEAD as UPGRADE

        return [
            b"\xff" + each
            for each in (
                POST + b"2\r\n{}\r\n0\r\nA: b\r\n\r\n",
                UPGRADE,
                UPGRADE + b"\x89\x80\0\0\0\0",
                b"GET / HTTP/1.1\r\n\r\n",
            )
        ]
    found = [json.dumps(example).encode() for example in examples.values()]
    return found if target == "frame" else [*found, b'{"a":[1,2.5e3,"\\u00fc",null,true]}', b"[" * 3_000]


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "envelope": envelope, "frame": frame, "text": text, "connection": connection,
}  # fmt: skip


def run_one(target: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["app.adapters", "app.domain"]):
        one = TARGETS[target]()
    corpus = FOLDER / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=5",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={FOLDER}/",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *options], one)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", choices=TARGETS)
    given = parser.parse_args()
    if given.target:
        return run_one(given.target, given.seconds)
    failed = []
    for target in TARGETS:
        command = [sys.executable, "-m", "tests.fuzz", "--target", target, "--seconds", str(given.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=given.seconds + 120)
        words = (done.stdout + done.stderr).strip().splitlines()
        print(f"{target}: {words[-1] if words else ''}", flush=True)
        if done.returncode:
            failed.append(target)
            print("\n".join(words[-40:]))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
