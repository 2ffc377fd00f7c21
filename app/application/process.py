"""The worker's verb: a batch of commands becomes committed events or refusals with their traces, then is announced.

Nothing is requeued and nothing is skipped: what may pass is retried in place; what raises is cut in halves, down to
the single command that raises, which is refused with its trace. The caller acks when process returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.application.background import Trouble
from app.application.ports.bus import DeadLetter, Delivery
from app.application.ports.errors import DeadlineMissed, Transient
from app.application.ports.store import CommandLog
from app.application.remembered import Remembered
from app.domain import decide
from app.domain.command import Command, UnknownAction
from app.domain.errors import Code
from app.domain.fold import Limits
from app.domain.ids import shard_of
from app.domain.policy import Ask
from app.domain.state import Decided, Needs

_SEEN_OFTEN = 3
_DEADLINES_MISSED_MAX = 3
_TRIES_MAX = 2
_PAUSES_S = (0.05, 0.1, 0.2, 0.5)

T = TypeVar("T")


class Worker:
    """One serial loop: the next batch begins when this one is committed and announced."""

    def __init__(
        self,
        log: CommandLog,
        ask: Ask,
        announce: Callable[[Decided], Awaitable[None]],
        new_id: Callable[[], str],
        shards: int,
        limits: Limits,
        unknown_s: float,
        trouble: Trouble = lambda what, error: None,
        on_unknown: Callable[[str, bool], None] = lambda type_, given_up: None,
        afresh: Callable[[], bool] = lambda: False,
        begin: Callable[[Command], None] | None = None,
    ) -> None:
        """begin: told each command before it is decided. afresh: whether the rules look at what changes without an event of the chat, so that nothing is decided on what is
        remembered of it. unknown_s: how long a command of a type that we don't know is left for who knows it. on_unknown: told the
        type of each such command, and whether it is refused now."""
        self._log = log
        self._ask = ask
        self._announce = announce
        self._new_id = new_id
        self._shards = shards
        self._limits = limits
        self._unknown_s = unknown_s
        self._trouble = trouble
        self._on_unknown = on_unknown
        self._afresh = afresh
        self._begin = begin
        self._remembered = Remembered()

    async def process(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Decide these deliveries' commands in order. Returns when all of it is committed and announced, but for the
        deliveries that it returns: they hold, or follow in their lane, what a newer version will know."""
        batch: list[Command] = []
        dead = [letter for delivery in deliveries for letter in delivery.dead]
        if dead:
            await self._bury(dead)
        left = await self._left(deliveries)
        for delivery in deliveries:
            if delivery in left:
                continue
            if delivery.seen < _SEEN_OFTEN:
                batch += delivery.commands
                continue
            if batch:
                await self._decide(batch)
                batch = []
            await self._decide_suspects(delivery.commands)
        if batch:
            await self._decide(batch)
        return left

    async def _bury(self, dead: Sequence[DeadLetter]) -> None:
        """Its neighbours wait as long as that may pass, and no longer."""
        while True:
            try:
                return await self._log.bury(dead)
            except Transient as error:
                self._trouble("transient", error)
            except Exception as error:
                return self._trouble("dead letter", error)
            await asyncio.sleep(_PAUSES_S[-1])

    async def _left(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Of each lane, from the delivery on that holds what nobody here knows, as long as there is hope."""
        unknown = [c for delivery in deliveries for c in delivery.commands if isinstance(c.action, UnknownAction)]
        if not unknown:
            return []
        waited_s = await self._retry(lambda: self._log.unknown_for_s(unknown))
        hoping = {c.key for c, seconds in zip(unknown, waited_s, strict=True) if seconds < self._unknown_s}
        for type_, given_up in dict.fromkeys((c.type, c.key not in hoping) for c in unknown):
            self._on_unknown(type_, given_up)
        left: list[Delivery] = []
        lanes: set[int] = set()
        for delivery in deliveries:
            if delivery.lane in lanes or any(c.key in hoping for c in delivery.commands):
                lanes.add(delivery.lane)
                left.append(delivery)
        return left

    async def _decide_suspects(self, commands: Sequence[Command]) -> None:
        """Those of a delivery that came back again and again: it killed or hung its workers, or was only in bad company.
        All are tried together once; then each alone. A try is noted before it is made."""
        if not commands:
            return
        if not any(await self._retry(lambda: self._log.tries(commands))):
            await self._retry(lambda: self._log.note_try(commands))
            return await self._decide(commands)
        for command in commands:
            [tries] = await self._retry(lambda c=command: self._log.tries([c]))  # type: ignore[misc]
            if tries >= _TRIES_MAX:
                await self._refuse(command)
                continue
            await self._retry(lambda c=command: self._log.note_try([c]))  # type: ignore[misc]
            await self._decide([command])

    async def _decide(self, commands: Sequence[Command]) -> None:
        missed, pause = 0, 0
        while True:
            try:
                decided = await self._transact(commands)
                break
            except Transient as error:
                self._trouble("transient", error)
                missed += isinstance(error, DeadlineMissed)
                if missed >= _DEADLINES_MISSED_MAX and await self._log.answers():
                    # The store is well, so it is these commands that take too long.
                    return await (self._halve(commands) if len(commands) > 1 else self._refuse(commands[0]))
            except Exception as error:
                self._trouble("raised", error)
                if len(commands) > 1:
                    return await self._halve(commands)
                return await self._refuse(commands[0])
            await asyncio.sleep(_PAUSES_S[min(pause, len(_PAUSES_S) - 1)])
            pause += 1
        await self._tell(decided)

    async def _tell(self, decided: Decided) -> None:
        """What cannot be announced is healed by a gap or the poll; the commit stands."""
        try:
            await self._announce(decided)
        except Exception as error:
            self._trouble("announce", error)

    async def _halve(self, commands: Sequence[Command]) -> None:
        middle = len(commands) // 2
        await self._decide(commands[:middle])
        await self._decide(commands[middle:])

    async def _transact(self, commands: Sequence[Command]) -> Decided:
        shards = sorted({shard_of(command.chat_id, self._shards) for command in commands})
        needs = decide.needs_of(commands)
        try:
            decided = await self._append(shards, commands, needs) or await self._read_and_write(shards, commands)
        except BaseException:
            self._remembered.forget()
            raise
        self._remembered.keep(needs, decided)
        return decided

    async def _append(self, shards: Sequence[int], commands: Sequence[Command], needs: Needs) -> Decided | None:
        """Messages, on what is remembered. Whatever else comes out, a refusal too, is decided on what is read."""
        state = None if self._afresh() else self._remembered.state_for(needs, self._log.now())
        if state is None:
            return None
        heads = {chat_id: chat.head for chat_id, chat in state.chats.items()}
        decided = decide.decide(state, commands, self._ask, self._new_id, self._limits, self._begin)
        if not decided.new_messages_alone():
            return None
        try:
            return decided if await self._log.append(shards, decided, heads) else None
        except Transient:
            raise
        except Exception as error:  # who reads may still write it: what is known is found under the lock
            self._trouble("raised", error)
            self._remembered.forget()
            return None

    async def _read_and_write(self, shards: Sequence[int], commands: Sequence[Command]) -> Decided:
        async with self._log.transaction(shards) as transaction:
            state = await transaction.read(commands)
            decided = decide.decide(state, commands, self._ask, self._new_id, self._limits, self._begin)
            await transaction.write(decided)
        return decided

    async def _refuse(self, command: Command) -> None:
        async def refuse() -> Decided:
            async with self._log.transaction([shard_of(command.chat_id, self._shards)]) as transaction:
                state = await transaction.read([command])
                decided = decide.refuse(state, command, Code.CONFLICT, "this command could not be decided")
                await transaction.write(decided)
            return decided

        await self._tell(await self._retry(refuse))

    async def _retry(self, do: Callable[[], Awaitable[T]]) -> T:
        pause = 0
        while True:
            try:
                return await do()
            except Exception as error:  # a shard that waits, with an alarm, is better than workers that die in turn
                self._trouble("transient" if isinstance(error, Transient) else "raised", error)
            await asyncio.sleep(_PAUSES_S[min(pause, len(_PAUSES_S) - 1)])
            pause += 1
