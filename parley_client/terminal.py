"""A chat in the terminal: python -m app chat [URL]. The client class with a prompt, a status line and few commands."""

from __future__ import annotations

import asyncio
import shlex
import textwrap
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx2
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout

from parley_client.client import Client, Frame, Rejected
from parley_client.rest import Problem, Rest

TYPING_EVERY_S = 3.0
HISTORY = 15
SHOWN_LINES = 8
HELP = """\
  /ask              a chat with the assistant       /stop      stop its answer      /again   have it written anew
  /direct NAME      a chat with one person          /new TITLE [NAME …]   a group
  /chats            my chats                        /open N    go to one
  /add NAME         bring a person in               /members   who is here
  /search WORDS     find messages                   /help      this                 /quit    leave
  Anything else is said to the chat. In groups @assistant asks the assistant."""


class Terminal:
    """One person at one terminal."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._client = Client(rest, on_frame=self._on_frame)
        self._names: dict[str, str] = {}
        self._chat: dict[str, Any] | None = None
        self._listed: list[dict[str, Any]] = []
        self._streams: dict[str, str] = {}
        self._last_reply = ""
        self._typing: dict[str, float] = {}
        self._typed_at = 0.0
        self._seen: dict[str, int] = {}
        self._session: PromptSession[str] = PromptSession(erase_when_done=True)
        self._tasks: set[asyncio.Task[None]] = set()

    # What is shown

    def _say(self, *parts: tuple[str, str]) -> None:
        print_formatted_text(FormattedText(list(parts)))

    def _note(self, text: str) -> None:
        self._say(("ansibrightblack", text))

    def _refused(self, what: str, error: Rejected | Problem) -> None:
        reason = error.reason if isinstance(error, Rejected) else error.body.get("detail") or error.code
        self._say(("ansired", f"  {what}: {reason} ({error.code})"))

    def _prompt(self) -> FormattedText:
        """Answers that are being written stand above the prompt, as they grow."""
        parts: list[tuple[str, str]] = []
        width = self._session.app.output.get_size().columns - 1
        for text in self._streams.values():
            lines = [piece for line in f"assistant {text}".splitlines() for piece in textwrap.wrap(line, width)]
            tail = "\n".join(lines[-SHOWN_LINES:]).removeprefix("assistant ")
            parts += [("ansicyan", "assistant "), ("", f"{tail}▌\n")]
        return FormattedText([*parts, ("bold", f"{self._title()}> ")])

    def _title(self) -> str:
        if self._chat is None:
            return ""
        return str(
            self._chat["title"] or {"assistant": "assistant", "direct": "direct"}.get(self._chat["kind"], "group")
        )

    def _toolbar(self) -> str:
        """Honest about the connection: online only after a welcome, and what is not yet over."""
        now = asyncio.get_running_loop().time()
        typing = [self._names.get(user, "somebody") for user, until in self._typing.items() if until > now]
        parts = [self._rest.url, self._client.status]
        if waiting := len(self._client.unfinished):
            parts.append(f"{waiting} not yet confirmed")
        if typing:
            parts.append(f"{', '.join(typing)} {'is' if len(typing) == 1 else 'are'} typing …")
        if self._streams:
            parts.append("the assistant is writing: /stop")
        return " │ ".join(parts)

    async def _name(self, user_id: str) -> str:
        if user_id not in self._names:
            self._names[user_id] = user_id[:8]
            with suppress(Problem, httpx2.HTTPError):
                self._names[user_id] = (await self._rest.get(f"/v1/users/{user_id}"))["display_name"]
        return self._names[user_id]

    async def _show(self, message: dict[str, Any], mark: str = "") -> None:
        name = "you" if message["sender_id"] == self._rest.user["id"] else await self._name(message["sender_id"])
        body = message["body"] if message["body"] is not None else "(deleted)"
        end = {"stopped": " (stopped)", "failed": " (failed)"}.get(message["status"], "")
        if message.get("failure"):
            end = f" (failed: {message['failure']['reason']})"
        colour = "ansicyan" if message["kind"] == "assistant" else "ansigreen" if name == "you" else "ansiyellow"
        self._say((colour, f"{name} "), ("", body), ("ansibrightblack", f"{end}{mark}"))

    # What comes

    def _on_frame(self, frame: Frame) -> None:
        self._spawn(self._take(frame))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, frame: Frame) -> None:
        kind = frame["type"]
        here = self._chat is not None and frame.get("chat_id") == self._chat["id"]
        if kind in ("reply.delta", "reply.snapshot") and here:
            fresh = kind == "reply.snapshot" or frame["index"] == 0
            self._streams[frame["message_id"]] = ("" if fresh else self._streams.get(frame["message_id"], "")) + frame[
                "text"
            ]
        elif kind == "typing" and here:
            self._typing[frame["user_id"]] = asyncio.get_running_loop().time() + frame["expires_in_ms"] / 1000
            await self._name(frame["user_id"])
        elif kind == "chat.joined":
            if frame["chat"]["created_by"] != self._rest.user["id"]:
                self._note(f"  you were added to {frame['chat']['title'] or 'a chat'}: /chats")
        elif kind == "draining":
            self._note("  the service restarts: reconnecting")
        elif kind.startswith(("message.", "member.")):
            await self._take_event(frame, here)
        self._session.app.invalidate()

    async def _take_event(self, frame: Frame, here: bool) -> None:
        kind, message = frame["type"], frame.get("message")
        if message is None:
            if here and kind in ("member.added", "member.removed"):
                who = frame.get("user_id") or frame["member"]["user"]["id"]
                self._note(f"  {await self._name(who)} {'came' if kind == 'member.added' else 'went'}")
            return
        self._typing.pop(message["sender_id"], None)
        if kind == "message.completed":
            self._streams.pop(message["id"], None)
        if not here:
            if kind == "message.created" and message["kind"] == "user":
                self._note(f"  {await self._name(message['sender_id'])} wrote in another chat: /chats")
            return
        if kind in ("message.created", "message.completed"):
            self._read_up_to(frame["chat_id"], frame["seq"])
        if message["kind"] == "assistant":
            self._last_reply = message["id"]
            if kind == "message.created":
                self._streams.setdefault(message["id"], "")
            elif kind == "message.completed":
                await self._show(message)
        elif kind == "message.created":
            await self._show(message)
        elif kind == "message.edited":
            await self._show(message, " (edited)")
        elif kind == "message.deleted":
            await self._show(message)

    def _read_up_to(self, chat_id: str, seq: int) -> None:
        """What is shown is read. Several soon after each other are told as one."""
        if chat_id not in self._seen:
            self._spawn(self._mark_read(chat_id))
        self._seen[chat_id] = seq

    async def _mark_read(self, chat_id: str) -> None:
        await asyncio.sleep(0.5)
        with suppress(Problem, httpx2.HTTPError):
            await self._rest.put(f"/v1/chats/{chat_id}/read", {"seq": self._seen.pop(chat_id)})

    # What is typed

    def _typed(self, _: object) -> None:
        now = asyncio.get_running_loop().time()
        text = self._session.default_buffer.text
        if text and not text.startswith("/") and self._chat is not None and now - self._typed_at > TYPING_EVERY_S:
            self._typed_at = now
            self._client.typing(self._chat["id"])

    async def run(self) -> None:
        await self._client.start()
        self._session.default_buffer.on_text_changed += self._typed
        self._note(HELP)
        await self._chats("")
        while True:
            try:
                line = (
                    await self._session.prompt_async(self._prompt, bottom_toolbar=self._toolbar, refresh_interval=0.5)
                ).strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line in ("/quit", "/exit"):
                return
            if line:
                await self._obey(line)

    async def close(self) -> None:
        await self._client.close()
        await self._rest.close()

    async def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if line.startswith("/"):
            self._note(f"{self._title()}> {line}")
        commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/ask": self._ask, "/direct": self._direct, "/new": self._new, "/chats": self._chats, "/open": self._open,
            "/add": self._add, "/members": self._members, "/search": self._search, "/stop": self._stop,
            "/again": self._again, "/help": self._help,
        }  # fmt: skip
        try:
            if not line.startswith("/"):
                self._send(line)
            elif word in commands:
                await commands[word](rest.strip())
            else:
                self._note(f"  no such command: {word}; /help shows them")
        except Problem as error:
            self._refused(word, error)
        except httpx2.HTTPError:
            self._note("  the service can't be reached just now")

    def _here(self) -> str:
        if self._chat is None:
            raise Problem(0, "no_chat", {"detail": "no chat is open: /ask, /direct NAME or /new TITLE"})
        return str(self._chat["id"])

    def _send(self, body: str) -> None:
        """Said at once; what comes back shows it. A refusal is shown with its reason."""
        done = self._client.send(self._here(), body)
        done.add_done_callback(lambda ended: self._ended("not said", ended))

    def _ended(self, what: str, ended: asyncio.Future[Frame]) -> None:
        if not ended.cancelled() and isinstance(error := ended.exception(), Rejected):
            self._refused(what, error)

    async def _enter(self, chat: dict[str, Any]) -> None:
        self._chat, self._streams, self._last_reply = chat, {}, ""
        page = await self._rest.get(f"/v1/chats/{chat['id']}/messages", limit=HISTORY)
        self._note(f"── {self._title()} · {chat['members_count']} members · you are {chat['my_role']}")
        for message in reversed(page["items"]):
            if message["kind"] == "assistant":
                self._last_reply = message["id"]
            if message["status"] != "pending":
                await self._show(message)
        if chat["head"]:
            await self._rest.put(f"/v1/chats/{chat['id']}/read", {"seq": chat["head"]})

    async def _make(self, body: dict[str, Any]) -> None:
        await self._enter(await self._rest.post("/v1/chats", body, headers={"Idempotency-Key": str(uuid.uuid4())}))

    async def _person(self, name: str) -> str:
        found = (
            await self._rest.get("/v1/users", query=name.lower().removeprefix("@"), limit=10)
            if len(name) > 1
            else {"items": []}
        )
        exact = [p for p in found["items"] if p["username"] == name.lower().removeprefix("@")] or found["items"]
        if len(exact) != 1:
            raise Problem(404, "not_found", {"detail": f"{'nobody is' if not exact else 'several are'} called {name}"})
        return str(exact[0]["id"])

    async def _ask(self, _: str) -> None:
        await self._make({"kind": "assistant"})

    async def _direct(self, name: str) -> None:
        await self._make({"kind": "direct", "member_ids": [await self._person(name)]})

    async def _new(self, words: str) -> None:
        title, *names = shlex.split(words) or ["group"]
        await self._make({"kind": "group", "title": title, "member_ids": [await self._person(n) for n in names]})

    async def _chats(self, _: str) -> None:
        self._listed = (await self._rest.get("/v1/chats", limit=20))["items"]
        for number, chat in enumerate(self._listed, 1):
            last = (chat["last_message"] or {}).get("body") or ""
            unread = f" [{chat['unread']} new]" if chat["unread"] else ""
            self._note(
                f"  {number}  {chat['title'] or chat['kind']}{unread}  {last[:50].splitlines()[0] if last else ''}"
            )
        if not self._listed:
            self._note("  no chats yet: /ask the assistant, /direct NAME, or /new TITLE")

    async def _open(self, number: str) -> None:
        if not number.isdigit() or not 0 < int(number) <= len(self._listed):
            raise Problem(404, "not_found", {"detail": "no chat has this number: /chats"})
        await self._enter(await self._rest.get(f"/v1/chats/{self._listed[int(number) - 1]['id']}"))

    async def _add(self, name: str) -> None:
        await self._rest.post(f"/v1/chats/{self._here()}/members", {"user_id": await self._person(name)})

    async def _members(self, _: str) -> None:
        page = await self._rest.get(f"/v1/chats/{self._here()}/members", limit=100)
        for member in page["items"]:
            muted = " (muted)" if member["muted_until"] else ""
            self._note(f"  {member['user']['display_name']} @{member['user']['username']} {member['role']}{muted}")

    async def _search(self, words: str) -> None:
        page = await self._rest.get("/v1/search", q=words, limit=10)
        for message in reversed(page["items"]):
            await self._show(message, f"  · {message['created_at'][:16].replace('T', ' ')}")
        self._note(f"  {len(page['items'])}{' or more' if page['next_cursor'] else ''} found")

    async def _stop(self, _: str) -> None:
        self._on_reply("reply.stop", "not stopped")

    async def _again(self, _: str) -> None:
        self._on_reply("reply.regenerate", "not written anew")

    def _on_reply(self, type_: str, what: str) -> None:
        reply = next(iter(self._streams), self._last_reply)
        if not reply:
            raise Problem(404, "not_found", {"detail": "no answer stands here"})
        done = self._client.command(type_, self._here(), message_id=reply)
        done.add_done_callback(lambda ended: self._ended(what, ended))

    async def _help(self, _: str) -> None:
        self._note(HELP)


async def sign_in(rest: Rest) -> None:
    """Name and password; a name that is new is registered."""
    session: PromptSession[str] = PromptSession()
    while True:
        name = (await session.prompt_async("username: ", is_password=False)).strip()
        password = await session.prompt_async("password: ", is_password=True)
        try:
            await rest.sign_in(name, password)
            return
        except Problem as error:
            if error.code != "invalid_grant":
                print_formatted_text(
                    f"  {error.body.get('error_description') or error.body.get('detail') or error.code}"
                )
                continue
        if (
            await session.prompt_async(f"  no such name with this password. Register {name}? [y/N] ", is_password=False)
        ).strip().lower() == "y":
            try:
                await rest.register(name, password)
                return
            except Problem as error:
                print_formatted_text(f"  {error.body.get('detail') or error.code}")


async def chat(url: str) -> int:
    """Until the person leaves. The process's exit code."""
    rest = Rest(url)
    try:
        await rest.http.get("/livez")
    except (httpx2.HTTPError, ValueError):
        print_formatted_text(f"nothing answers at {url}: is Parley running? (`make run` starts it)")
        await rest.close()
        return 1
    with patch_stdout(raw=True):
        try:
            await sign_in(rest)
        except (EOFError, KeyboardInterrupt):
            await rest.close()
            return 0
        terminal = Terminal(rest)
        try:
            await terminal.run()
        finally:
            await terminal.close()
    return 0
