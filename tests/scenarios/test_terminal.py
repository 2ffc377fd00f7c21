"""The terminal client, driven as a person would: keys in, screen out, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import ssl
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stack.pace import paced, within
from stack.parley import ROOT
from tests.world import PASSWORD, People, World, new_id, start_embedded, stop_embedded

_WHERE = b"\x1b[6n"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])|[\r\x07]")


class Screen:
    """The program on a terminal of its own. text: all that it showed and was not seen yet, without escapes."""

    def __init__(self, url: str, *more: str, state: Path | None = None) -> None:
        self._raw = b""
        self._seen = 0
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.chdir(ROOT)
                environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
                if state is not None:
                    environment["XDG_STATE_HOME"] = str(state)
                os.execve(sys.executable, [sys.executable, "-m", "app", "chat", url, *more], environment)
            finally:
                os._exit(127)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._fd)
            return
        for _ in range((self._raw[-3:] + data).count(_WHERE)):  # where is the cursor? a terminal answers
            os.write(self._fd, b"\x1b[1;1R")
        self._raw += data

    @property
    def text(self) -> str:
        return _ESCAPES.sub("", self._raw.decode(errors="ignore"))[self._seen :]

    async def see(self, words: str, wait_s: float = 15) -> None:
        """Until this is shown; what stood before it is done with. Spaces may have been drawn as moves of the cursor."""
        words = words.replace(" ", r"\s*")
        async with within(wait_s):
            while (found := re.search(words, self.text)) is None:
                await asyncio.sleep(0.05)
        self._seen += found.end()

    async def type(self, line: str) -> None:
        os.write(self._fd, line.encode())
        await asyncio.sleep(0.05)
        os.write(self._fd, b"\r")

    async def sign_up(self, name: str) -> None:
        await self.see("username: ")
        await self.type(name)
        await self.see("password: ")
        await self.type(PASSWORD)
        await self.see("Register .* ")
        await self.type("y")
        await self.see("again: ")
        await self.type(PASSWORD)
        await self.see("/help")

    async def left(self) -> int:
        """Until the program ended by itself: its exit code."""
        async with within(10):
            while (ended := os.waitpid(self._pid, os.WNOHANG))[0] == 0:
                await asyncio.sleep(0.05)
        self._pid = 0
        return os.waitstatus_to_exitcode(ended[1])

    def end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


Open = Callable[..., Screen]


@pytest.fixture
async def screens() -> AsyncIterator[Open]:
    opened: list[Screen] = []

    def open_(url: str, *more: str, state: Path | None = None) -> Screen:
        opened.append(Screen(url, *more, state=state))
        return opened[-1]

    yield open_
    for screen in opened:
        screen.end()


def untrusted(folder: Path) -> ssl.SSLContext:
    """For a server whose certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "both.pem")
    return context


async def test_an_untrusted_certificate_is_told_as_such(screens: Open, tmp_path: Path) -> None:
    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=untrusted(tmp_path)) as server:
        screen = screens(f"https://localhost:{server.sockets[0].getsockname()[1]}")
        await screen.see("the certificate of https://localhost")
        await screen.see("SSL_CERT_FILE")
        assert await screen.left() == 1


async def test_two_people_and_the_assistant_talk_in_terminals(world: World, screens: Open) -> None:
    anna, ben = (f"{name}-{new_id()[-6:]}" for name in ("anna", "ben"))
    one, two = screens(world.urls[0]), screens(world.urls[-1])
    await asyncio.gather(one.sign_up(anna), two.sign_up(ben))
    await one.type(f"/direct {ben}")
    await one.see(f"@{ben} · 2 members")
    await two.see("you were added")
    await two.type("/chats")
    await two.see(f"1  @{anna}")
    await two.type("/open 1")
    await two.see("you are member")
    await one.type("hello from the terminal")
    await two.see(f"{anna} hello from the terminal")
    await two.type("hello back")
    await one.see(f"{ben} hello back")
    await asyncio.sleep(3.1)  # typing is told at most every 3 s
    os.write(two._fd, b"thinking")
    await one.see(f"{ben} is typing")
    await one.type("/ask")
    await one.see("assistant · 2 members")
    await one.type("sixty sentences" if world.embedded else 'script: {"words": 200, "every_ms": 50}')
    await one.see("the assistant is writing")
    await one.type("/stop")
    await one.see(r"\(stopped\)")
    await one.type("/search terminal")
    await one.see("hello from the terminal.*\n.*1 found")
    await one.type("/unknown")
    await one.see("no such command")
    await one.type("/quit")
    assert await one.left() == 0


async def test_a_refusal_is_shown_with_its_reason(people: People, screens: Open) -> None:
    world = people.world
    owner = await people.make("owner")
    screen = screens(world.urls[0])
    name = f"cleo-{new_id()[-6:]}"
    await screen.sign_up(name)
    found = (await owner.rest.get("/v1/users", query=name))["items"]
    chat_id = await people.group(owner)
    await owner.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": found[0]["id"], "role": "reader"})
    await screen.see("you were added to a group")
    await screen.type("/chats")
    await screen.see("1  a group")
    await screen.type("/open 1")
    await screen.see("you are reader")
    await screen.type("may I?")
    await screen.see(r"not said in a group, “may I\?”: readers of this chat cannot write \(not_allowed\)")
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{found[0]['id']}", {"role": "member"})
    await screen.type("now?")
    await screen.see("you now\\?")


@pytest.mark.long
async def test_the_line_comes_back_by_itself_and_what_was_said_meanwhile_is_confirmed(screens: Open) -> None:
    world = start_embedded()
    assert world.role is not None
    try:
        screen = screens(world.urls[0])
        await screen.sign_up("dora")
        await screen.type("/new Dora's chat")
        await screen.see("you are owner")
        world.role.child.kill()
        await screen.see("reconn?ecting")  # letters that stand there already are not drawn again
        await screen.type("said while away")
        await screen.see("1 not yet confirmed")
        world.role.start()
        await screen.see("you said while away")
        await asyncio.sleep(paced(2))  # words are found within 2 s
        await screen.type("/search away")
        await screen.see("1 found")
        await screen.type("/quit")
        assert await screen.left() == 0
    finally:
        stop_embedded(world)


async def test_it_says_where_nothing_answers(screens: Open) -> None:
    screen = screens("http://127.0.0.1:9")
    await screen.see("nothing answers at http://127.0.0.1:9: is Parley running")
    assert await screen.left() == 1


async def test_messages_are_edited_deleted_answered_and_the_chat_is_managed(people: People, screens: Open) -> None:
    ben = await people.make("ben")
    screen = screens(people.world.urls[0])
    await screen.sign_up(f"ada-{new_id()[-6:]}")
    await screen.type(f"/new tea {ben.name}")
    await screen.see("tea · 2 members")
    [chat] = (await ben.rest.get("/v1/chats"))["items"]
    for n in range(20):
        await ben.rest.post(
            f"/v1/chats/{chat['id']}/messages", {"client_message_id": new_id(), "body": f"number {n} of many"}
        )
    await screen.see("number 19 of many")
    await screen.type("/react 👍")
    await screen.type("/reply that one")
    await screen.see("you that one")
    newest, before = (await ben.rest.get(f"/v1/chats/{chat['id']}/messages", limit=2))["items"]
    assert newest["reply_to"] == before["id"] and before["reactions"][0]["emoji"] == "👍"
    await screen.type("/edit this one")
    await screen.see(r"this one \(edited\)")
    await screen.type("/delete")
    await screen.see(r"\(deleted\)")
    await screen.type("/edit")
    await screen.see("to what\\?")
    await screen.type("/rename coffee")
    await screen.see("coffee> ")
    await screen.type(f"/mute {ben.name} 5")
    await screen.see("is muted for 5 minutes")
    await screen.type("/open 9")
    await screen.see("no chat has this number")
    await screen.type("/older")
    await screen.see("that is where it begins")
    other = await people.group(ben)
    await screen.type("/leave")
    await screen.see("the last owner cannot leave")
    assert other
    await screen.type("/quit")
    assert await screen.left() == 0


async def test_older_pages_other_chats_and_leaving(people: People, screens: Open) -> None:
    ben, name = await people.make("ben"), f"fay-{new_id()[-6:]}"
    screen = screens(people.world.urls[0])
    await screen.sign_up(name)
    [fay] = (await ben.rest.get("/v1/users", query=name))["items"]
    chats = [
        (await ben.rest.post("/v1/chats", {"kind": "group", "title": title, "member_ids": [fay["id"]]}))["id"]
        for title in ("long", "other")
    ]

    async def say(chat_id: str, body: str) -> None:
        await ben.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": body})

    for n in range(40):
        await say(chats[0], f"line {n:02}.")
    await say(chats[1], "elsewhere")
    await screen.see("Ben wrote in other")
    await screen.type("/chats")
    await screen.see("1  other")
    await screen.type("/open 2")
    await screen.see("long · 2 members")
    await screen.see(r"line 39\.")
    assert "line 24" not in screen.text
    for first, last, more in ((10, 24, "and older ones: /older"), (0, 9, "that is where it begins")):
        await screen.type("/older")
        for n in range(first, last + 1):
            await screen.see(rf"line {n:02}\. · 20..-..-.. ..:..")
        await screen.see(more)
    await say(chats[1], "once more")
    await screen.see("Ben wrote in other")
    await say(chats[0], "in here")
    await screen.see("Ben in here")
    await screen.type("/leave")
    await screen.see("you are no longer in long")
    left = (await ben.rest.get(f"/v1/chats/{chats[0]}/members"))["items"]
    assert [member["user"]["id"] for member in left] == [ben.id]
    await screen.type("to nobody")
    await screen.see("no chat is open")
    await screen.type("/quit")
    assert await screen.left() == 0


async def test_who_chooses_so_stays_signed_in(people: People, screens: Open, tmp_path: Path) -> None:
    url, name = people.world.urls[0], f"eva-{new_id()[-6:]}"
    screen = screens(url, "--stay", state=tmp_path)
    await screen.sign_up(name)
    await screen.type("/quit")
    assert await screen.left() == 0
    kept = tmp_path / "parley" / "signed_in.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and url in kept.read_text()
    for _ in range(2):  # each token is good once
        screen = screens(url, "--stay", state=tmp_path)
        await screen.see("/help")
        await screen.type("/quit")
        assert await screen.left() == 0
    screen = screens(url, state=tmp_path)
    await screen.see("username: ")
    kept.write_text(f'{{"{url}": "no token any more"}}')
    screen = screens(url, "--stay", state=tmp_path)
    await screen.see("username: ")
