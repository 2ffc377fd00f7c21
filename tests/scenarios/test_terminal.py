"""The terminal client, driven as a person would: keys in, screen out, on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios

from stack.parley import ROOT
from tests.world import PASSWORD, People, World, new_id

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>78])|[\r\x07]")


class Screen:
    """The program on a terminal of its own. text: all that it showed, without escapes."""

    def __init__(self, url: str) -> None:
        self.text = ""
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(ROOT)
            environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
            os.execve(sys.executable, [sys.executable, "-m", "app", "chat", url], environment)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 140, 0, 0))
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536).decode(errors="replace")
        except OSError:
            asyncio.get_running_loop().remove_reader(self._fd)
            return
        if "\x1b[6n" in data:  # where is the cursor? a terminal answers
            os.write(self._fd, b"\x1b[1;1R")
        self.text += _ESCAPES.sub("", data)

    async def see(self, words: str, wait_s: float = 15) -> None:
        """Until this is shown; what stood before it is done with. Spaces may have been drawn as moves of the cursor."""
        words = words.replace(" ", r"\s*")
        async with asyncio.timeout(wait_s):
            while (found := re.search(words, self.text)) is None:
                await asyncio.sleep(0.05)
        self.text = self.text[found.end() :]

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
        await self.see("/help")

    async def left(self) -> int:
        """Until the program ended by itself: its exit code."""
        async with asyncio.timeout(10):
            while (ended := os.waitpid(self._pid, os.WNOHANG))[0] == 0:
                await asyncio.sleep(0.05)
        self._close()
        return os.waitstatus_to_exitcode(ended[1])

    async def hang_up(self) -> None:
        """As a window that is closed."""
        self._close()
        await asyncio.to_thread(os.waitpid, self._pid, 0)

    def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


async def test_two_people_and_the_assistant_talk_in_terminals(world: World) -> None:
    anna, ben = (f"{name}-{new_id()[-6:]}" for name in ("anna", "ben"))
    one, two = Screen(world.urls[0]), Screen(world.urls[-1])
    await asyncio.gather(one.sign_up(anna), two.sign_up(ben))
    await one.type(f"/direct {ben}")
    await one.see("direct · 2 members")
    await two.see("you were added")
    await two.type("/chats")
    await two.see("1  direct")
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
    await one.type("/stop nonsense")
    await one.type("/unknown")
    await one.see("no such command")
    await one.type("/quit")
    assert await one.left() == 0
    await two.hang_up()


async def test_a_refusal_is_shown_with_its_reason_and_the_line_comes_back_by_itself(people: People) -> None:
    world = people.world
    owner = await people.make("owner")
    screen = Screen(world.urls[0])
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
    await screen.see(r"not said: readers of this chat cannot write \(not_allowed\)")
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{found[0]['id']}", {"role": "member"})
    await screen.type("now?")
    await screen.see("you now\\?")
    await screen.hang_up()


async def test_it_says_where_nothing_answers() -> None:
    screen = Screen("http://127.0.0.1:9")
    await screen.see("nothing answers at http://127.0.0.1:9: is Parley running")
    assert await screen.left() == 1
