"""A chat in the terminal: python -m app chat [URL]. The client class with a prompt, a status line and few commands."""

from __future__ import annotations

import asyncio
import shlex
import textwrap
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.patch_stdout import patch_stdout

from parley_client.client import Client, Frame, Rejected
from parley_client.directory import LOST, Directory, printable
from parley_client.replies import Replies
from parley_client.rest import Problem, Rest, SignedOut
from parley_client.signing_in import StaySignedIn, come_back, sign_in

TYPING_EVERY_S = 3.0
LAST_WORDS_S = 3.0
HISTORY = 15
LISTED = 50
SHOWN_LINES = 8
RECENT = 100
HELP = """\
  /ask [QUESTION]      ask the assistant     /stop          stop its answer
  /direct NAME         chat with a person    /again         have it written anew
  /new TITLE [NAME …]  make a group          /add NAME      bring a person in
  /chats               my chats              /members       who is here
  /open N              go to one             /search WORDS  find messages
  /reply TEXT          answer the last one   /older         what was before
  /edit TEXT           my last message       /delete        take it back
  /react EMOJI         to the last message   /rename TITLE  the chat
  /mute NAME [MINUTES] for so long (60)      /leave         the chat
  /help                this                  /quit          leave
  Anything else is said to the chat. In groups @assistant asks the assistant."""


class Terminal:
    """One person at one terminal."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._came: asyncio.Queue[Frame] = asyncio.Queue()
        self._client = Client(rest, on_frame=self._on_frame, on_event=self._came.put_nowait)
        self._directory = Directory(self._client)
        self._screen = asyncio.Lock()
        self._chat: Frame | None = None
        self._title = ""
        self._listed: list[Frame] = []
        self._shown: set[str] = set()
        self._recent: dict[str, list[Frame]] = {}
        self._oldest: dict[str, int] = {}
        self._streams: dict[str, dict[str, str]] = {}
        self._replies = Replies()
        self._last_reply: dict[str, str] = {}
        self._typing: dict[tuple[str, str], tuple[str, float]] = {}
        self._typed_at = 0.0
        self._seen: dict[str, int] = {}
        self._saying: dict[asyncio.Future[Frame], tuple[str, float]] = {}
        self._session: PromptSession[str] = PromptSession(erase_when_done=True)
        self._tasks: set[asyncio.Task[None]] = set()

    # What is shown

    def _say(self, *parts: tuple[str, str]) -> None:
        print_formatted_text(FormattedText(list(parts)))

    def _note(self, text: str) -> None:
        self._say(("ansibrightblack", text))

    def _refused(self, what: str, error: Rejected | Problem) -> None:
        reason = error.reason if isinstance(error, Rejected) else error.args[2] or "refused"
        self._say(("ansired", f"  {what}: {reason} ({error.code})"))

    def _prompt(self) -> FormattedText:
        """Answers that are being written stand above the prompt, as they grow; and what waits to be confirmed."""
        parts: list[tuple[str, str]] = []
        late = asyncio.get_running_loop().time() - 1
        parts += [("ansibrightblack", f"… {body}\n") for body, at in self._saying.values() if at < late]
        width = max(20, self._session.app.output.get_size().columns - 11)
        for text in self._streams.get(self._here_or_nothing(), {}).values():
            lines: list[str] = []
            for line in printable(text[-width * SHOWN_LINES :]).splitlines():
                lines += textwrap.wrap(line, width) or [""]
            tail = "\n".join(lines[-SHOWN_LINES:])
            parts += [("ansicyan", "Assistant "), ("", f"{tail}▌\n")]
        return FormattedText([*parts, ("bold", f"{self._title}> ")])

    def _toolbar(self) -> str:
        """Honest about the connection: online only after a welcome, and what is not yet over."""
        now, here = asyncio.get_running_loop().time(), self._here_or_nothing()
        typing = [name for (chat_id, _), (name, until) in self._typing.items() if chat_id == here and until > now]
        parts = [self._rest.url, self._client.status]
        if waiting := len(self._client.unfinished):
            parts.append(f"{waiting} not yet confirmed")
        if typing:
            parts.append(f"{', '.join(typing)} {'is' if len(typing) == 1 else 'are'} typing …")
        if self._streams.get(here):
            parts.append("the assistant is writing: /stop")
        return " │ ".join(parts)

    async def _show(self, message: Frame, mark: str = "") -> None:
        name = await self._directory.name(message["sender_id"])
        body = printable(message["body"]) if message["body"] is not None else "(deleted)"
        end = {"stopped": " (stopped)", "failed": " (failed)"}.get(message["status"], "")
        if message.get("failure"):
            end = f" (failed: {message['failure']['reason']})"
        colour = "ansicyan" if message["kind"] == "assistant" else "ansigreen" if name == "you" else "ansiyellow"
        self._say((colour, f"{name} "), ("", self._wrapped(body, len(name) + 1)), ("ansibrightblack", f"{end}{mark}"))

    def _wrapped(self, text: str, indent: int) -> str:
        """Between words, at the width of the terminal; the first line begins after `indent` characters."""
        width = max(20, self._session.app.output.get_size().columns - 1)
        wrapper = textwrap.TextWrapper(width, subsequent_indent="  ", replace_whitespace=False, break_on_hyphens=False)
        lines = []
        for place, line in enumerate(text.split("\n")):
            wrapper.initial_indent = " " * indent if place == 0 else ""
            lines.append(wrapper.fill(line)[0 if place else indent :])
        return "\n".join(lines)

    # What comes: frames wait in one queue, so that lines stand in the order of the chat

    def _on_frame(self, frame: Frame) -> None:
        if "seq" not in frame:
            self._came.put_nowait(frame)

    async def _follow(self) -> None:
        while True:
            frame = await self._came.get()
            async with self._screen:
                with suppress(Problem, *LOST):
                    await self._take(frame)
            self._session.app.invalidate()

    async def _take(self, frame: Frame) -> None:
        kind, chat_id = frame["type"], frame.get("chat_id", "")
        here = chat_id == self._here_or_nothing()
        if kind in ("reply.delta", "reply.snapshot"):
            if self._replies.take(frame):
                writing = self._replies.writing[frame["message_id"]]
                self._streams.setdefault(chat_id, {})[frame["message_id"]] = writing.text
        elif kind == "typing":
            until = asyncio.get_running_loop().time() + frame["expires_in_ms"] / 1000
            self._typing[(chat_id, frame["user_id"])] = (await self._directory.name(frame["user_id"]), until)
        elif kind == "chat.joined":
            if frame["chat"]["created_by"] != self._rest.user["id"]:
                self._note(f"  you were added to {await self._directory.title(frame['chat'])}: /chats")
        elif kind == "assistant.silent" and here:
            self._note(f"  the assistant doesn't answer here ({frame['code']})")
        elif kind == "draining":
            self._note("  the service restarts: reconnecting")
        elif kind == "reset":
            self._streams.pop(chat_id, None)
            if here and self._chat is not None:
                self._note("  much was said meanwhile; this is the end of it")
                await self._load(self._chat)
        elif kind == "gone":
            self._leave(chat_id)
        elif "seq" in frame:
            await self._take_event(frame, here)

    async def _take_event(self, frame: Frame, here: bool) -> None:
        kind, chat_id, message = frame["type"], frame["chat_id"], frame.get("message")
        if kind == "member.removed" and frame.get("user_id") == self._rest.user["id"]:
            return self._leave(chat_id)
        if here:
            self._read_up_to(chat_id, frame["seq"])
        if message is None:
            user_id = frame.get("user_id") or frame.get("member", {}).get("user", {}).get("id")
            if here and user_id and kind in ("member.added", "member.removed"):
                who = await self._directory.name(user_id)
                self._note(f"  {who} {'came' if kind == 'member.added' else 'went'}")
            return
        self._typing.pop((chat_id, message["sender_id"]), None)
        is_reply = message["kind"] == "assistant"
        if is_reply and kind == "message.created":
            self._last_reply[chat_id] = message["id"]
            self._streams.setdefault(chat_id, {}).setdefault(message["id"], "")
        elif kind in ("message.completed", "message.deleted"):
            self._streams.get(chat_id, {}).pop(message["id"], None)
            self._replies.end(message["id"])
        if not here:
            if (
                kind == "message.created"
                and message["kind"] == "user"
                and message["sender_id"] != self._rest.user["id"]
            ):
                who, where = await self._directory.name(message["sender_id"]), await self._title_of(chat_id)
                self._note(f"  {who} wrote in {where}: /chats")
        elif kind == "message.edited":
            self._remember(message)
            await self._show(message, " (edited)")
        elif kind == "message.deleted":
            self._remember(message)
            await self._show(message)
        elif (kind == "message.completed" or not is_reply) and message["id"] not in self._shown:
            self._shown.add(message["id"])
            self._remember(message)
            await self._show(message)

    def _remember(self, message: Frame) -> None:
        """The newest at the end; a deleted one is no longer acted on."""
        recent = self._recent.setdefault(message["chat_id"], [])
        recent[:] = [one for one in recent if one["id"] != message["id"]][-RECENT:]
        if message["body"] is not None:
            recent.append(message)
            recent.sort(key=lambda one: int(one["seq"]))

    def _leave(self, chat_id: str) -> None:
        self._streams.pop(chat_id, None)
        if chat_id == self._here_or_nothing():
            self._note(f"  you are no longer in {self._title}")
            self._chat, self._title = None, ""

    def _read_up_to(self, chat_id: str, seq: int) -> None:
        """What is shown is read. Several soon after each other are told as one."""
        if chat_id not in self._seen:
            self._spawn(self._mark_read(chat_id))
        self._seen[chat_id] = max(seq, self._seen.get(chat_id, 0))

    async def _mark_read(self, chat_id: str, pause_s: float = 0.5) -> None:
        await asyncio.sleep(pause_s)
        seq = self._seen.pop(chat_id, 0)
        with suppress(Problem, *LOST):
            if seq:
                await self._rest.put(f"/v1/chats/{chat_id}/read", {"seq": seq})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What is typed

    def _typed(self, _: object) -> None:
        now = asyncio.get_running_loop().time()
        text = self._session.default_buffer.text
        if text and not text.startswith("/") and self._chat is not None and now - self._typed_at > TYPING_EVERY_S:
            self._typed_at = now
            self._client.typing(self._chat["id"])

    async def run(self) -> None:
        await self._client.start()
        self._spawn(self._follow())
        self._session.default_buffer.on_text_changed += self._typed
        self._note(HELP)
        await self._guarded("/chats", self._chats, "")
        with self._session.app.input.raw_mode():  # also between two lines: the terminal itself echoes nothing
            while True:
                try:
                    line = await self._session.prompt_async(
                        self._prompt, bottom_toolbar=self._toolbar, refresh_interval=0.5
                    )
                except (EOFError, KeyboardInterrupt):
                    return
                if line.strip() in ("/quit", "/exit"):
                    return
                if line.strip():
                    await self._obey(line.strip())

    async def close(self) -> None:
        """What is on its way gets a moment to be confirmed; what is not is said."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await asyncio.gather(*(self._mark_read(chat_id, 0) for chat_id in list(self._seen)))
                while self._client.unfinished:
                    await asyncio.sleep(0.05)
        for body, _ in self._saying.values():
            self._say(("ansired", f"  not confirmed, may or may not have been said: {body}"))
        for task in self._tasks:
            task.cancel()
        await self._client.close()

    async def _obey(self, line: str) -> None:
        commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "/ask": self._ask, "/direct": self._direct, "/new": self._new, "/chats": self._chats, "/open": self._open,
            "/add": self._add, "/members": self._members, "/search": self._search, "/stop": self._stop,
            "/again": self._again, "/help": self._help, "/reply": self._reply, "/edit": self._edit,
            "/delete": self._delete, "/react": self._react, "/older": self._older, "/rename": self._rename,
            "/mute": self._mute, "/leave": self._leave_chat,
        }  # fmt: skip
        if not line.startswith("/"):
            return await self._guarded("not said", self._send, line)
        word, _, rest = line.partition(" ")
        self._note(f"{self._title}> {line}")
        if word in commands:
            await self._guarded(word, commands[word], rest.strip())
        else:
            self._note(f"  no such command: {word}; /help shows them")

    async def _guarded(self, what: str, do: Callable[[str], Awaitable[None]], rest: str) -> None:
        try:
            await do(rest)
        except Problem as error:
            self._refused(what, error)
        except LOST:
            self._note("  the service can't be reached just now")

    def _here_or_nothing(self) -> str:
        return str(self._chat["id"]) if self._chat is not None else ""

    def _here(self) -> str:
        if self._chat is None:
            raise Problem(0, "no_chat", {"detail": "no chat is open: /ask, /direct NAME or /new TITLE"})
        return str(self._chat["id"])

    async def _send(self, body: str) -> None:
        """Said at once; what comes back shows it. A refusal is shown with its reason."""
        if self._client.status == "signed out":
            raise Problem(0, "unauthenticated", {"detail": "you were signed out: /quit, and sign in again"})
        done = self._client.send(self._here(), body)
        self._saying[done] = (printable(body), asyncio.get_running_loop().time())
        done.add_done_callback(lambda ended: self._saying.pop(ended, None))
        said = f"not said in {self._title}, “{textwrap.shorten(body, 40, placeholder='…')}”"
        done.add_done_callback(lambda ended: self._ended(said, ended))

    def _ended(self, what: str, ended: asyncio.Future[Frame]) -> None:
        if not ended.cancelled() and isinstance(error := ended.exception(), Rejected):
            self._refused(what, error)

    async def _enter(self, chat: Frame) -> None:
        """Loaded, then shown in one go: nothing that comes meanwhile stands in between or twice."""
        async with self._screen:
            await self._load(chat)

    async def _load(self, chat: Frame) -> None:
        title = await self._directory.title(chat)
        chat_id = chat["id"]
        page = (await self._rest.get(f"/v1/chats/{chat_id}/messages", limit=HISTORY))["items"][::-1]
        for message in page:
            await self._directory.name(message["sender_id"])
        self._chat, self._title = chat, title
        self._note(
            f"── {title} · {chat['members_count']} member{'s' * (chat['members_count'] != 1)} · you are {chat['my_role']}"
        )
        for message in page:
            if message["kind"] == "assistant" and message["body"] is not None:
                self._last_reply[chat_id] = message["id"]
            if message["status"] == "pending":
                self._streams.setdefault(chat_id, {}).setdefault(message["id"], "")
            else:
                self._streams.get(chat_id, {}).pop(message["id"], None)
                self._shown.add(message["id"])
                self._remember(message)
                await self._show(message)
        self._oldest[chat_id] = min([chat["head"] + 1, *(message["seq"] for message in page)])
        if page or chat["head"]:
            self._read_up_to(chat_id, max([chat["head"], *(message["seq"] for message in page)]))

    async def _make(self, body: dict[str, Any]) -> None:
        await self._enter(await self._rest.post("/v1/chats", body, headers={"Idempotency-Key": str(uuid.uuid4())}))

    async def _ask(self, question: str) -> None:
        await self._make({"kind": "assistant"})
        if question:
            await self._send(question)

    async def _direct(self, name: str) -> None:
        await self._make({"kind": "direct", "member_ids": [await self._directory.person(name)]})

    async def _new(self, words: str) -> None:
        try:
            title, *names = shlex.split(words) or ["group"]
        except ValueError:  # an apostrophe
            title, names = words, []
        people = [await self._directory.person(name) for name in names]
        await self._make({"kind": "group", "title": title, "member_ids": people})

    async def _chats(self, _: str) -> None:
        page = await self._rest.get("/v1/chats", limit=LISTED)
        self._listed = page["items"]
        for number, chat in enumerate(self._listed, 1):
            last = printable((chat["last_message"] or {}).get("body") or "").split("\n")[0][:50]
            unread = f" [{chat['unread']} new]" if chat["unread"] else ""
            self._note(f"  {number}  {await self._directory.title(chat)}{unread}  {last}")
        if page["next_cursor"]:
            self._note("  … and older ones")
        if not self._listed:
            self._note("  no chats yet: /ask the assistant, /direct NAME, or /new TITLE")

    async def _open(self, number: str) -> None:
        if not number.isdecimal() or not 0 < int(number) <= len(self._listed):
            raise Problem(404, "not_found", {"detail": "no chat has this number: /chats"})
        await self._enter(await self._rest.get(f"/v1/chats/{self._listed[int(number) - 1]['id']}"))

    async def _add(self, name: str) -> None:
        user_id = await self._directory.person(name)
        await self._rest.post(f"/v1/chats/{self._here()}/members", {"user_id": user_id})

    async def _members(self, _: str) -> None:
        page = await self._rest.get(f"/v1/chats/{self._here()}/members", limit=100)
        now = datetime.now(UTC).isoformat()
        for member in page["items"]:
            user, muted = member["user"], " (muted)" if (member["muted_until"] or "") > now else ""
            self._note(f"  {printable(user['display_name'])} @{user['username']} {member['role']}{muted}")

    async def _search(self, words: str) -> None:
        page = await self._rest.get("/v1/search", q=words, limit=10)
        for message in reversed(page["items"]):
            await self._show(message, f"  · {message['created_at'][:16].replace('T', ' ')}")
        self._note(f"  {len(page['items'])}{' or more' if page['next_cursor'] else ''} found")

    async def _stop(self, _: str) -> None:
        if not self._streams.get(self._here()):
            raise Problem(0, "conflict", {"detail": "no answer is being written"})
        self._on_reply("reply.stop", "not stopped")

    async def _again(self, _: str) -> None:
        self._on_reply("reply.regenerate", "not written anew")

    def _on_reply(self, type_: str, what: str) -> None:
        chat_id = self._here()
        reply = next(iter(self._streams.get(chat_id, {})), self._last_reply.get(chat_id))
        if reply is None:
            raise Problem(404, "not_found", {"detail": "no answer stands here"})
        done = self._client.command(type_, chat_id, message_id=reply)
        done.add_done_callback(lambda ended: self._ended(what, ended))

    async def _title_of(self, chat_id: str) -> str:
        try:
            return await self._directory.title(await self._rest.get(f"/v1/chats/{chat_id}"))
        except (Problem, *LOST):
            return "another chat"

    def _last(self, mine: bool) -> Frame:
        """The newest message here that can be acted on."""
        for message in reversed(self._recent.get(self._here(), [])):
            if message["kind"] != "system" and (not mine or message["sender_id"] == self._rest.user["id"]):
                return message
        raise Problem(
            404, "not_found", {"detail": "you said nothing here yet" if mine else "nothing was said here yet"}
        )

    async def _reply(self, text: str) -> None:
        _needs(text, "what do you answer? /reply TEXT")
        done = self._client.send(self._here(), text, reply_to=self._last(mine=False)["id"])
        done.add_done_callback(lambda ended: self._ended("not said", ended))

    def _act_on(self, message: Frame, type_: str, what: str, **fields: str) -> None:
        done = self._client.command(type_, message["chat_id"], message_id=message["id"], **fields)
        done.add_done_callback(lambda ended: self._ended(what, ended))

    async def _edit(self, text: str) -> None:
        _needs(text, "to what? /edit TEXT")
        self._act_on(self._last(mine=True), "message.edit", "not edited", body=text)

    async def _delete(self, _: str) -> None:
        self._act_on(self._last(mine=True), "message.delete", "not deleted")

    async def _react(self, emoji: str) -> None:
        _needs(emoji, "with what? /react EMOJI")
        self._act_on(self._last(mine=False), "reaction.add", "not given", emoji=emoji)

    async def _older(self, _: str) -> None:
        chat_id = self._here()
        before = self._oldest.get(chat_id)
        page = await self._rest.get(f"/v1/chats/{chat_id}/messages", limit=HISTORY, before=before)
        for message in page["items"][::-1]:
            await self._show(message, f"  · {message['created_at'][:16].replace('T', ' ')}")
            self._oldest[chat_id] = min(self._oldest[chat_id], message["seq"])
        self._note("  … and older ones: /older" if page["has_more"] else "  that is where it begins")

    async def _rename(self, title: str) -> None:
        _needs(title, "to what? /rename TITLE")
        self._chat = await self._rest.patch(f"/v1/chats/{self._here()}", {"title": title})
        self._title = await self._directory.title(self._chat)

    async def _mute(self, words: str) -> None:
        name, _, minutes = words.partition(" ")
        if minutes and not minutes.strip().isdecimal():
            raise Problem(0, "invalid", {"detail": "for how many minutes? /mute NAME [MINUTES]"})
        user_id = await self._directory.person(name)
        until = datetime.now(UTC) + timedelta(minutes=int(minutes or 60))
        body = {"muted_until": until.isoformat(timespec="milliseconds")}
        await self._rest.patch(f"/v1/chats/{self._here()}/members/{user_id}", body)
        self._note(f"  {name} is muted for {minutes.strip() or 60} minutes")

    async def _leave_chat(self, _: str) -> None:
        await self._rest.delete(f"/v1/chats/{self._here()}/members/{self._rest.user['id']}")

    async def _help(self, _: str) -> None:
        self._note(HELP)


def _needs(text: str, words: str) -> None:
    if not text:
        raise Problem(0, "invalid", {"detail": words})


async def chat(url: str, stay: bool = False) -> int:
    """Until the person leaves. stay: signed in, for the next time. The process's exit code."""
    try:
        rest = Rest(url)
        await rest.http.get("/livez")
    except (httpx2.InvalidURL, ValueError, *LOST) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            print_formatted_text(
                f"the certificate of {url} isn't trusted here: is it the right address? For one of your own"
                " authority set SSL_CERT_FILE to its certificate"
            )
            return 1
        print_formatted_text(f"nothing answers at {url}: is Parley running? (`make run` starts it)")
        return 1
    with patch_stdout(raw=True):
        try:
            if not (stay and await come_back(rest, StaySignedIn(rest.url))):
                await sign_in(rest)
            terminal = Terminal(rest)
            try:
                await terminal.run()
            finally:
                await terminal.close()
        except (EOFError, KeyboardInterrupt):
            return 0
        except SignedOut:
            print_formatted_text("you were signed out: come in again")
            return 1
        except TimeoutError:
            print_formatted_text(f"no socket could be opened at {url}: does a proxy in between know WebSockets?")
            return 1
        finally:
            await rest.close()
    return 0
