"""The assistant worker's verb: claim a reply's row, stream the answer, end it durably.

The row is the job; its attempt is the fence for every delta and for the end. The lease is renewed until the end is
committed: only then may nobody take it up again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from app.application.background import Background, Trouble, survived
from app.application.context import alternating, fitted, size_of
from app.application.ports.bus import CommandBus
from app.application.ports.errors import OutcomeUnknown, Transient, Unavailable
from app.application.ports.fan_out import FanOut, LiveTexts
from app.application.ports.jobs import Job, Jobs, Part, Written
from app.application.ports.model import (
    Call,
    Delta,
    Finish,
    Model,
    ModelFailed,
    Place,
    Price,
    Prompt,
    Provider,
    Thinking,
)
from app.application.ports.socket import Codec
from app.application.signals import ASSISTANTS, Frame, Note, chat_channel, pack_frame, unpack
from app.application.summaries import FROM_TURNS, Summaries
from app.application.titles import title_of
from app.domain.chats import NameChat
from app.domain.command import Command
from app.domain.ids import DEFAULT_PROVIDER, derived_id
from app.domain.replies import CompleteReply, ExpireReply
from app.domain.text import tokens_of, whole_characters
from app.domain.values import Failure, Status, Usage

LEASE_S = 15.0
RENEW_S = 2.0
SCAN_S = 1.0
TURNS_MAX = 50
BODY_MAX = 100_000
RETRIES_MAX = 2
DRAIN_S = 25.0
FALL_BACK_S = 5.0
"""Who would wait longer is answered by the fallback, where there is one."""
FALL_BACK_FROM = (
    "unavailable",
    "timeout",
    "rate_limited",
    "quota",
    "unauthorized",
    "not_found",
    "bad_answer",
    "cut",
    "empty",
)
DELTA_CHARS = 100
"""So much is worth a frame, whose other fields are twice as long."""
DELTA_PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.3)
"""What is less waits so long behind the delta before it: the first not at all, the second a little, the later ones longer."""
THOUGHTS_EVERY_S = 1.0
NOTE_S = 2.0
TITLE_S = 30.0
LOADING_S = 2.0
"""A model that loads is asked again so often, unless its server says when."""
TOLD_FROM_S = 1.0
"""A wait that people are told of."""
_CLOCK_S = 0.001
_NONE: Mapping[str, float] = MappingProxyType({})


class _Lost(Exception):
    """The attempt is no longer ours."""


class _Gone(Exception):
    """The assistant is no more."""


class _Answer:
    """One claimed attempt while it is written."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.text = ""
        self.half = ""
        self.index = 0
        self.told = 0
        """Characters of the text that went out as deltas, of which `index` is the next."""
        self.written = False
        self.news = asyncio.Event()
        self.usage: Usage | None = None
        self.progressed = False
        self.asked_tokens = 0
        """Of the last call, as estimated."""
        self.calls = 0
        self.accepted = False
        """The provider said something of some call."""
        self.cost: float | None = None
        self.only_local = False
        """No provider outside is asked."""
        self.instead: Provider | None = None
        """Who is asked now, where the assistant's own provider couldn't answer."""
        self.names = ""
        """The question, where its answer is the first of a chat that has no name."""
        self.parameters = _NONE
        self.context: tuple[Place, ...] = ()
        self.summary_id = ""
        self.long = False
        """There is something to sum up."""
        self.model_asked: str | None = None
        self.model = self.said = ""
        """How the model named itself; what its provider said of a failure."""
        self.began = asyncio.get_running_loop().time()
        self.first_token_ms: int | None = None
        self.can_shorten = True
        self.thought = 0
        """Characters that the model said to itself."""
        self.thought_told_at = -THOUGHTS_EVERY_S
        self.stopping = asyncio.Event()
        self.lost = asyncio.Event()

    def whole_characters(self, text: str) -> str:
        """Some servers cut a character in two: its first half waits for the next delta."""
        text, self.half = self.half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self.half = text[:-1], text[-1]
        return whole_characters(text)

    def add(self, text: str) -> None:
        had_news = self.told < len(self.text)
        if self.first_token_ms is None:
            self.first_token_ms = round((asyncio.get_running_loop().time() - self.began) * 1000)
        self.text += text
        self.progressed = True
        if not had_news or len(self.text) - self.told >= DELTA_CHARS:
            self.news.set()

    def count(self, usage: Usage | None, price: Price | None) -> None:
        """Of one call more."""
        if usage is not None and price is not None:
            self.cost = (self.cost or 0.0) + price.of(usage)
        if usage is not None:
            had = self.usage or Usage(0, 0)
            self.usage = Usage(had.prompt_tokens + usage.prompt_tokens, had.completion_tokens + usage.completion_tokens)

    def end(self) -> None:
        """Nothing is added any more."""
        self.written = True
        self.news.set()

    @property
    def key(self) -> tuple[str, str]:
        return (self.job.chat_id, self.job.message_id)


class AssistantWorker:
    def __init__(
        self,
        *,
        holder: str,
        jobs: Jobs,
        live: LiveTexts,
        model: Model,
        bus: CommandBus,
        fan_out: FanOut,
        codec: Codec,
        providers: Mapping[str, Provider],
        at_once: int = 50,
        drain_s: float = DRAIN_S,
        answer_s: float = 900.0,
        patience_s: float = 170.0,
        context_tokens: int = 16_000,
        consent: bool = False,
        titles: bool = False,
        title_model: str | None = None,
        jitter: Callable[[], float] = random.random,
        on_end: Callable[[str], None] = lambda status: None,
        trouble: Trouble = lambda what, error: None,
        watch: Callable[[Job], AbstractContextManager[object]] = lambda job: nullcontext(),
    ) -> None:
        """holder: our name on leases. providers: by name; `default` is one of them. at_once: replies that are written side by side. drain_s: how long those
        being written may take to end when we go. answer_s: how long one answer may take in all; patience_s: how long a model
        may load. context_tokens: so much of a chat is sent, as estimated. consent: a group's text goes outside only where its owner agreed. titles: chats with an assistant get a name
        behind their first answer, of title_model or of the same model. jitter: from 0 to 1. on_end: told each end's status. watch: entered around the writing of one reply."""
        self._watch = watch
        self._holder = holder
        self._jobs = jobs
        self._live = live
        self._model = model
        self._bus = bus
        self._fan_out = fan_out
        self._codec, self._providers = codec, providers
        self._at_once = at_once
        self._titles, self._title_model = titles, title_model
        self._consent = consent
        self._answer_s, self._patience_s, self._context_tokens, self._jitter = (
            answer_s,
            patience_s,
            context_tokens,
            jitter,
        )
        self._drain_s = drain_s
        self._on_end = on_end
        self._trouble = trouble
        self._woken = asyncio.Event()
        self._answers: dict[tuple[str, str], _Answer] = {}
        self._writing = Background(trouble)
        self._draining = False
        self._beside = Counter[str]()
        """By provider: calls for names and summaries just now, which take a place as answers do."""
        self._summaries = Summaries(
            jobs, model, context_tokens,
            may_hear=lambda provider, part: not self._draining and (provider.local or not self._only_local(part)),
        )  # fmt: skip

    async def start(self) -> None:
        await self._fan_out.subscribe([ASSISTANTS])

    def handle(self, channel: str, payload: bytes) -> None:
        """What the fan-out says to assistants; a hint, the scan finds everything."""
        note = unpack("", payload)
        if channel != ASSISTANTS or not isinstance(note, Note):
            return
        if note.kind == "asked":
            self._woken.set()
        elif note.kind == "stop" and tuple(note.data) in self._answers:
            self._writing.create_task(self._look(self._answers[tuple(note.data)]))

    async def run(self) -> None:
        while not self._draining:
            with survived("assistant", self._trouble):
                free = self._at_once - len(self._answers) - self._beside.total()
                jobs = await self._jobs.claim(self._holder, free, LEASE_S, self._room()) if free > 0 else []
                for job in jobs:
                    if self._draining:
                        await self._jobs.release(job)
                        continue
                    answer = _Answer(job)
                    if job.stop_requested:
                        answer.stopping.set()
                    self._answers[answer.key] = answer
                    self._writing.create_task(self._watched(answer))
            with suppress(TimeoutError):
                async with asyncio.timeout(SCAN_S):
                    await self._woken.wait()
            self._woken.clear()

    def _room(self) -> dict[str, int]:
        """How many calls more each provider takes of us, of those that have a bound."""
        open_ = self._beside + Counter(self._provider(answer).name for answer in self._answers.values())
        bounded = (one for one in self._providers.values() if one.concurrency)
        return {one.name: max(0, one.concurrency - open_[one.name]) for one in bounded}

    def _provider_of(self, job: Job) -> Provider:
        """The assistant's own. One that the settings don't name any more has no price and no model."""
        name = job.provider or DEFAULT_PROVIDER
        return self._providers.get(name) or Provider(name, name, "")

    def _provider(self, answer: _Answer) -> Provider:
        """Whom it comes from just now."""
        return answer.instead or self._provider_of(answer.job)

    async def drain(self, patience_s: float | None = None) -> None:
        """Take nothing new; finish what is being written, then give the rest back."""
        self._draining = True
        self._woken.set()
        await self._writing.finish(self._drain_s if patience_s is None else patience_s)
        for answer in list(self._answers.values()):
            with suppress(Transient):
                await self._jobs.release(answer.job)

    async def _look(self, answer: _Answer) -> None:
        """How the row is, and the lease anew."""
        progressed, answer.progressed = answer.progressed, False
        try:
            state = await self._jobs.renew(self._holder, answer.job, LEASE_S, progressed)
        except Transient:
            answer.progressed |= progressed
            return
        if state == "stop":
            answer.stopping.set()
        elif state == "lost":
            answer.lost.set()

    async def _watched(self, answer: _Answer) -> None:
        with self._watch(answer.job):
            ended = await self._hold(answer)
        if ended == Status.COMPLETE and answer.names and self._titles:
            with suppress(TimeoutError):
                async with asyncio.timeout(TITLE_S):
                    await self._do_beside("title", answer, self._name(answer))
        if ended == Status.COMPLETE and answer.long:
            writing = self._summaries.sum_up(answer.job, answer.model_asked, self._provider(answer))
            await self._do_beside("summary", answer, writing)

    async def _do_beside(self, what: str, answer: _Answer, doing: Coroutine[Any, Any, None]) -> None:
        provider = self._provider(answer).name
        self._beside[provider] += 1
        try:
            with survived(what, self._trouble), suppress(ModelFailed, Unavailable, OutcomeUnknown):
                await doing
        finally:
            self._beside[provider] -= 1

    async def _name(self, answer: _Answer) -> None:
        """Once, and where it comes to nothing the chat stays without a name."""
        job = answer.job
        model = self._title_model or answer.model_asked
        provider = self._provider(answer).name
        title, usage = await title_of(self._model, model, provider, answer.names, answer.text)
        await self._jobs.also_took(job, usage, self._cost(answer, usage))
        if title is not None:
            id_ = derived_id("name", job.chat_id, job.message_id)
            await self._bus.submit(Command(job.chat_id, job.assistant_id, id_, NameChat(title)))

    def _only_local(self, of: Prompt | Part) -> bool:
        """Whether what is said in the chat may not go outside."""
        return of.local_only or (self._consent and not of.agreed)

    def _cost(self, answer: _Answer, usage: Usage) -> float | None:
        return self._provider(answer).cost_of(usage)

    async def _hold(self, answer: _Answer) -> str | None:
        """Write the answer while keeping its lease. How it ended; None where somebody else holds it now."""
        writing = asyncio.create_task(self._write(answer))
        lost = asyncio.create_task(answer.lost.wait())
        try:
            while not writing.done() and not lost.done():
                await asyncio.wait((writing, lost), timeout=RENEW_S, return_when=asyncio.FIRST_COMPLETED)
                if not writing.done() and not lost.done():
                    await self._look(answer)
            if writing.done() and not lost.done():
                end = writing.result()
                await self._note(answer, *end)
                await self._end(answer, *end)
                self._on_end(end[0])
                return end[0]
        except _Lost:
            pass
        finally:
            writing.cancel()
            lost.cancel()
            await asyncio.gather(writing, lost, return_exceptions=True)
            if self._answers.get(answer.key) is answer and (not self._draining or answer.lost.is_set()):
                self._answers.pop(answer.key, None)
        return None

    async def _write(self, answer: _Answer) -> tuple[str, Failure | None]:
        """Stream until done, stopped or failed. Tries again only what trying may cure, and only before the first delta."""
        clock = asyncio.get_running_loop().time
        began, tries, tokens = clock(), 0, self._context_tokens
        while True:
            if answer.stopping.is_set():  # before the model is asked at all, or between two tries
                return Status.STOPPED, None
            stream = asyncio.create_task(self._stream(answer, tokens))
            stopped = asyncio.create_task(answer.stopping.wait())
            try:
                left_s = began + self._answer_s - clock()
                await asyncio.wait((stream, stopped), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if stream.done():
                    stream.result()
                    return Status.COMPLETE, None
                if stopped.done():
                    return Status.STOPPED, None
                raise ModelFailed("timeout", f"the answer wasn't done after {self._answer_s:.0f} seconds")
            except ModelFailed as error:
                answer.count(error.usage, self._provider(answer).price)
                answer.progressed = True
                answer.said, answer.model = error.said, error.model or answer.model
                failed = Status.FAILED, Failure(error.code, error.reason)
                if answer.text:
                    return failed
                if error.code == "context" and answer.can_shorten:
                    asked = answer.asked_tokens
                    tokens, answer.can_shorten = min(error.context_tokens or asked, asked) // 2, False
                    continue
                over = not error.retry or (tries == RETRIES_MAX and not error.loading)
                tries += not error.loading
                least_s = LOADING_S if error.loading else 0.5 * 2 ** (tries - 1) * (0.5 + self._jitter())
                wait_s = max(error.retry_after_s or 0.0, least_s)
                over = over or clock() + wait_s > began + (self._patience_s if error.loading else self._answer_s)
                if (over or wait_s > FALL_BACK_S) and (fallback := self._fallback(answer, error.code)) is not None:
                    answer.instead, tries = fallback, 0
                    await self._wait(answer, error.code, 0.0)
                    continue
                if over:
                    return failed
                await self._wait(answer, error.code, wait_s)
            except _Lost:
                raise
            except _Gone:
                return Status.STOPPED, None
            except Exception as error:
                self._trouble("reply", error)
                return Status.FAILED, Failure("unavailable", "the answer could not be written")
            finally:
                stream.cancel()
                stopped.cancel()
                await asyncio.gather(stream, stopped, return_exceptions=True)

    def _fallback(self, answer: _Answer, code: str) -> Provider | None:
        """Who is asked instead, once; not where the request itself was wrong."""
        fallback = self._providers.get(self._provider_of(answer.job).fallback)
        if fallback is None or answer.instead is not None or code not in FALL_BACK_FROM:
            return None
        room = self._room().get(fallback.name, 1)
        return fallback if room > 0 and (fallback.local or not answer.only_local) else None

    async def _wait(self, answer: _Answer, code: str, wait_s: float) -> None:
        """Who waits sees why, and who is asked instead."""
        if wait_s >= TOLD_FROM_S or answer.instead:
            instead = answer.instead.name if answer.instead else None
            told = self._codec.reply_waiting(*answer.key, answer.job.attempt, code, round(wait_s * 1000), instead)
            await self._say(answer, told)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await answer.stopping.wait()

    async def _say(self, answer: _Answer, frame: str) -> None:
        await self._fan_out.publish([(chat_channel(answer.job.chat_id), pack_frame(Frame(frame)))])

    async def _stream(self, answer: _Answer, tokens: int) -> None:
        try:
            whole = await self._jobs.prompt(answer.job, TURNS_MAX)
        except Transient as error:
            raise ModelFailed("unavailable", "the question could not be read", retry=True) from error
        if whole is None:
            raise _Gone
        fit = fitted(whole, tokens)
        prompt = replace(fit, turns=alternating(fit.turns))
        if not prompt.turns:
            raise ModelFailed("empty", "there is no question any more")
        answer.asked_tokens = size_of(prompt)
        answer.context = tuple(place for turn in prompt.turns for place in turn.places)
        has_summary = any(turn.ahead and not turn.places for turn in fit.turns)
        answer.summary_id = whole.summary_id if has_summary else ""
        answer.long = len(whole.turns) >= FROM_TURNS or len(fit.turns) < len(whole.turns)
        if answer.instead is not None:
            fallback_model = self._provider_of(answer.job).fallback_model or None
            prompt = replace(prompt, provider=answer.instead.name, model=fallback_model)
        answer.only_local = self._only_local(prompt)
        if answer.only_local and not self._provider(answer).local:
            raise ModelFailed("refused", "what is said in this chat isn't to go to a provider outside")
        offers = self._provider(answer).models
        if prompt.model is not None and offers and prompt.model not in offers:
            raise ModelFailed("not_found", "this assistant's provider doesn't offer the chat's model")
        answer.model = prompt.model or self._provider(answer).model
        answer.names, answer.model_asked = prompt.turns[-1].text if prompt.untitled else "", prompt.model
        answer.can_shorten = answer.can_shorten and len(fit.turns) > 1
        answer.written = False
        telling = asyncio.create_task(self._tell(answer))
        try:
            async with aclosing(self._model.stream(prompt)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    answer.progressed = True
                    answer.accepted |= not isinstance(piece, Call)
                    if isinstance(piece, Call):
                        answer.calls, answer.parameters = answer.calls + 1, piece.parameters
                    elif isinstance(piece, Finish):
                        answer.count(piece.usage, self._provider(answer).price)
                        answer.model = piece.model or answer.model
                    elif isinstance(piece, Thinking):
                        await self._think(answer, len(piece.text))
                    elif isinstance(piece, Delta) and (text := answer.whole_characters(piece.text)):
                        if len(answer.text) + len(text) > BODY_MAX:
                            raise ModelFailed("length", f"the answer is longer than {BODY_MAX} characters")
                        answer.add(text)
                    if telling.done():
                        break
        finally:
            answer.end()
            try:
                await asyncio.shield(telling)
            except asyncio.CancelledError:  # a stop: what was written is told all the same
                await telling
                raise

    async def _think(self, answer: _Answer, chars: int) -> None:
        """The first thought is told at once, then how much it is by now, each second."""
        now = asyncio.get_running_loop().time()
        answer.thought += chars
        if now - answer.thought_told_at >= THOUGHTS_EVERY_S:
            answer.thought_told_at = now
            await self._say(answer, self._codec.reply_thinking(*answer.key, answer.job.attempt, answer.thought))

    async def _tell(self, answer: _Answer) -> None:
        """What is written goes out: what comes first at once, then by so much, or after a while. All of it, when it ends."""
        clock = asyncio.get_running_loop().time
        told_at = clock()
        while answer.told < len(answer.text) or not answer.written:
            new = len(answer.text) - answer.told
            due_s = DELTA_PAUSES_S[min(answer.index, len(DELTA_PAUSES_S) - 1)] - (clock() - told_at)
            if not new or (due_s > _CLOCK_S and new < DELTA_CHARS and not answer.written):
                answer.news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(due_s if new else None):
                        await answer.news.wait()
                continue
            whole, index, told_at = answer.text, answer.index, clock()
            text, answer.told, answer.index = whole[answer.told :], len(whole), index + 1
            try:
                if not await self._live.append(answer.key, answer.job.attempt, index, text, whole):
                    answer.lost.set()
                    raise _Lost
            except Transient:
                pass  # nobody hears this delta; whoever lost it is given the text so far before the next one

    async def _note(self, answer: _Answer, status: str, failure: Failure | None) -> None:
        """How it came about. Where that can't be kept, the answer still ends."""
        usage = answer.usage
        if usage is None and (answer.accepted or (answer.calls and status == Status.STOPPED)):
            # Stopped, or cut: nobody counted, and it was asked for all the same.
            usage = Usage(answer.asked_tokens, tokens_of(answer.text) if answer.text else 0)
            answer.cost = self._cost(answer, usage)
        written = Written(
            failure.code if failure else status, answer.said if failure else "", answer.calls, answer.first_token_ms,
            self._provider(answer).shown, answer.model, answer.parameters, answer.context, usage,
            answer.cost, answer.summary_id,
        )  # fmt: skip
        with survived("provenance", self._trouble):
            async with asyncio.timeout(NOTE_S):
                await self._jobs.note(answer.job, written)

    async def _end(self, answer: _Answer, status: str, failure: Failure | None) -> None:
        """The end is a command. Repeated with the same id until the row says that it is over."""
        job = answer.job
        action = CompleteReply(job.message_id, job.attempt, status, answer.text, failure, answer.usage)
        id_ = derived_id("complete", job.chat_id, job.message_id, str(job.attempt))
        command = Command(job.chat_id, job.assistant_id, id_, action)
        accepted = False
        while not answer.lost.is_set():
            if not accepted:
                with suppress(Unavailable, OutcomeUnknown):
                    await self._bus.submit(command)
                    accepted = True
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2 if accepted else 0.5):
                    await answer.lost.wait()
            await self._look(answer)


class Expirer:
    """Ends replies that nobody makes progress with. Every worker looks; the attempt is the fence."""

    def __init__(
        self,
        jobs: Jobs,
        bus: CommandBus,
        no_progress_s: float,
        every_s: float = 5.0,
        trouble: Trouble = lambda what, error: None,
    ) -> None:
        self._trouble = trouble
        self._jobs = jobs
        self._bus = bus
        self._no_progress_s = no_progress_s
        self._every_s = every_s

    async def run(self) -> None:
        while True:
            with survived("expirer", self._trouble):
                for job in await self._jobs.stuck(self._no_progress_s):
                    id_ = derived_id("expire", job.chat_id, job.message_id, str(job.attempt))
                    action = ExpireReply(job.message_id, job.attempt)
                    await self._bus.submit(Command(job.chat_id, job.assistant_id, id_, action))
            await asyncio.sleep(self._every_s)
