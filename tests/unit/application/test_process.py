"""The worker's verb: nothing is skipped, nothing requeued; what raises is found and refused alone."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.application.ports.bus import DeadLetter, Delivery
from app.application.ports.errors import DeadlineMissed, Transient
from app.application.process import Worker
from app.domain.command import Command, UnknownAction
from app.domain.fold import Limits
from app.domain.state import Decided, State
from tests import actions as c
from tests.unit.memory import CHATS, PEP, USERS, MemoryStore
from tests.unit.virtual_time import run

ANNA = USERS[0]
CHAT, OTHER = CHATS


class Log(MemoryStore):
    """poison: bodies at which writing raises. slow: bodies that miss the deadline. well: whether small things are done
    in time."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: dict[str, BaseException] = {}
        self.noted: dict[str, int] = {}
        self.shards: list[list[int]] = []
        self.well = True
        self.unknown_s: dict[str, float] = {}
        self.buried: list[DeadLetter] = []

    @asynccontextmanager
    async def transaction(self, shards: Sequence[int]) -> AsyncIterator[Any]:
        self.shards.append(list(shards))
        async with super().transaction(shards) as transaction:
            yield transaction

    async def append(self, shards: Sequence[int], decided: Decided, heads: Mapping[str, int]) -> bool:
        self.shards.append(list(shards))
        return await super().append(shards, decided, heads)

    async def read(self, commands: Sequence[Command]) -> State:
        self._commands = commands
        return await super().read(commands)

    async def write(self, decided: Decided) -> None:
        refused_alone = len(decided.results) == 1 and decided.results[0].outcome.code == "conflict"
        for result in decided.results:
            error = self.poison.get(getattr(result.command.action, "body", ""))
            if error is not None and not refused_alone:
                raise error
        await super().write(decided)

    async def tries(self, commands: Sequence[Command]) -> list[int]:
        return [self.noted.get(command.id, 0) for command in commands]

    async def note_try(self, commands: Sequence[Command]) -> None:
        self._may_fail("note_try")
        for command in commands:
            self.noted[command.id] = self.noted.get(command.id, 0) + 1

    async def unknown_for_s(self, commands: Sequence[Command]) -> list[float]:
        self._may_fail("unknown_for_s")
        return [self.unknown_s.get(command.id, 0.0) for command in commands]

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        self._may_fail("bury")
        self.buried += letters

    async def answers(self) -> bool:
        return self.well

    async def prune(self) -> None:
        pass

    async def one_form_of_emoji(self) -> None:
        raise AssertionError


class Setting:
    def __init__(self, announce_fails: bool = False) -> None:
        self.log = Log()
        for chat_id in CHATS:
            self.log.do(chat_id, ANNA, c.CreateChat("group"))
        self.announced: list[Decided] = []
        self.troubles: list[str] = []
        self.unknown: list[tuple[str, bool]] = []

        async def announce(decided: Decided) -> None:
            self.announced.append(decided)
            if announce_fails:
                raise RuntimeError("nobody hears")

        ids = iter(f"m{n}" for n in range(1000))
        self.worker = Worker(
            self.log, PEP.ask, announce, lambda: next(ids), 8, Limits(10), 600.0,
            lambda what, error: self.troubles.append(what), lambda type_, given_up: self.unknown.append((type_, given_up)),
        )  # fmt: skip

    def process(self, *deliveries: Delivery) -> list[Delivery]:
        return list(run(self.worker.process(deliveries)))

    @property
    def bodies(self) -> list[str]:
        return [m.body or "" for m in sorted(self.log.state.messages.values(), key=lambda m: m.seq)]

    @property
    def refused(self) -> list[str]:
        return [r.command.id for d in self.announced for r in d.results if r.outcome.code == "conflict"]


def say(body: str, chat: str = CHAT) -> Command:
    return Command(chat, ANNA, f"id-{body}", c.SendMessage(body))


def test_deliveries_are_one_transaction_over_their_shards_and_are_announced_once() -> None:
    s = Setting()
    assert s.process(Delivery(1, [say("a"), say("b")]), Delivery(2, [say("c", OTHER)])) == []
    assert len(s.log.shards) == 1 and s.log.shards[0] == sorted(set(s.log.shards[0])) and len(s.log.shards[0]) == 2
    assert len(s.announced) == 1 and [r.outcome.seq for r in s.announced[0].results] == [2, 3, 2]
    assert s.process(Delivery(1, [])) == [] and len(s.log.shards) == 1, "nothing to decide, nothing is asked"


def test_what_may_pass_is_tried_again_in_place_until_it_is_done() -> None:
    s = Setting()
    s.log.fail = 6
    assert s.process(Delivery(1, [say("a")])) == []
    assert s.bodies == ["a"] and s.troubles == ["transient"] * 6 and s.refused == []


def test_the_pauses_between_tries_grow_to_half_a_second() -> None:
    s = Setting()
    times: list[float] = []

    @asynccontextmanager
    async def transaction(shards: Sequence[int]) -> AsyncIterator[Any]:
        times.append(asyncio.get_running_loop().time())
        raise Transient("down")
        yield

    s.log.transaction = transaction  # type: ignore[method-assign]

    async def work() -> None:
        for commands in ([Delivery(1, [say("a")])],):
            processing = asyncio.create_task(s.worker.process(commands))
            await asyncio.sleep(3)
            processing.cancel()

    run(work())
    assert [round(b - a, 2) for a, b in itertools.pairwise(times)][:6] == [0.05, 0.1, 0.2, 0.5, 0.5, 0.5]


def test_the_one_that_raises_is_refused_and_its_neighbours_are_done_in_order() -> None:
    s = Setting()
    s.log.poison["e"] = ZeroDivisionError()
    s.process(Delivery(1, [say(x) for x in "abcdefgh"]))
    assert s.bodies == list("abcdfgh") and s.refused == ["id-e"] and set(s.troubles) == {"raised"}
    assert s.log.told[(CHAT, ANNA, "id-e")].reason == "this command could not be decided"
    s.log.poison.clear()
    s.process(Delivery(1, [say("e")]))
    assert s.bodies == list("abcdfgh"), "a refusal stays one"


def test_a_single_one_that_raises_is_refused() -> None:
    s = Setting()
    s.log.poison["e"] = ValueError()
    s.process(Delivery(1, [say("e")]))
    assert s.bodies == [] and s.refused == ["id-e"]


def test_a_batch_that_is_too_slow_again_and_again_is_halved_where_the_store_is_well() -> None:
    s = Setting()
    s.log.poison["e"] = DeadlineMissed()
    s.process(Delivery(1, [say(x) for x in "abcdefgh"]))
    assert s.bodies == list("abcdfgh") and s.refused == ["id-e"]
    assert s.troubles.count("transient") == 12, "three times at each of four sizes"


def test_a_store_that_is_not_well_is_waited_for() -> None:
    s = Setting()
    s.log.well = False
    s.log.poison["a"] = DeadlineMissed()

    async def work() -> None:
        processing = asyncio.create_task(s.worker.process([Delivery(1, [say("a")])]))
        await asyncio.sleep(30)
        assert not processing.done() and s.refused == []
        s.log.poison.clear()
        await processing

    run(work())
    assert s.bodies == ["a"]
    assert 55 < len(s.troubles) < 70, "twice a second, after the first few"


def test_what_came_back_often_is_tried_together_once_then_alone_and_then_refused() -> None:
    s = Setting()
    s.process(Delivery(1, [say("x"), say("y")], seen=2))
    assert s.log.noted == {} and len(s.log.shards) == 1
    s.process(Delivery(1, [say("a")]), Delivery(1, [say("b"), say("c")], seen=3), Delivery(1, [say("d")]))
    assert s.log.noted == {"id-b": 1, "id-c": 1} and s.bodies == list("xyabcd") and len(s.log.shards) == 4
    s.log.noted = {"id-e": 2, "id-f": 1}
    s.process(Delivery(1, [say("e"), say("f"), say("g")], seen=9))
    assert s.refused == ["id-e"] and s.bodies == list("xyabcdfg") and len(s.log.shards) == 7
    assert s.log.noted == {"id-e": 2, "id-f": 2, "id-g": 1}
    s.process(Delivery(1, [], seen=9))


def test_who_can_not_note_a_try_waits() -> None:
    s = Setting()
    s.log.fail = 2
    s.process(Delivery(1, [say("a")], seen=3))
    assert s.log.noted == {"id-a": 1} and s.bodies == ["a"] and s.troubles == ["transient"] * 2


def test_what_can_not_be_announced_stands() -> None:
    s = Setting(announce_fails=True)
    assert s.process(Delivery(1, [say("a")])) == [] and s.bodies == ["a"]
    assert s.troubles == ["announce"] and len(s.announced) == 1


def newer(id_: str = "n") -> Command:
    return Command(CHAT, ANNA, id_, UnknownAction("poll.open", {"a": 1}))


def test_what_nobody_knows_is_left_with_all_behind_it_in_its_shard() -> None:
    s = Setting()
    first, second, third = (
        Delivery(1, [say("a")]),
        Delivery(1, [newer(), say("b")]),
        Delivery(1, [say("c"), newer("n3")]),
    )
    elsewhere = Delivery(2, [say("d", OTHER)])
    assert s.process(first, second, third, elsewhere) == [second, third]
    assert sorted(s.bodies) == ["a", "d"] and s.unknown == [("poll.open", False)]
    s.log.unknown_s = {"n": 599.9, "n3": 600.0}
    assert s.process(second, third) == [second, third], "what is behind it waits as long"
    assert s.unknown[1:] == [("poll.open", False), ("poll.open", True)]
    s.log.unknown_s = {"n": 600.0, "n3": 600.0}
    assert s.process(second, third) == [] and s.bodies[-2:] == ["b", "c"]
    assert s.refused == ["n", "n3"] and s.unknown[-1] == ("poll.open", True)


def test_of_how_long_it_is_left_is_asked_until_it_is_known() -> None:
    s = Setting()
    s.log.unknown_s, s.log.fail = {"n": 1e9, "n2": 0.0}, 3
    delivery = Delivery(1, [newer(), newer("n2")])
    assert s.process(delivery) == [delivery] and s.troubles == ["transient"] * 3 and s.refused == []


def test_a_transient_error_of_a_refusal_is_tried_again() -> None:
    s = Setting()
    s.log.poison["e"] = ValueError()

    class Once(Log):
        pass

    s.log.fail = 0
    original = s.log._may_fail
    calls = iter([False, True, True, False, False, False])

    def may_fail(what: str) -> None:
        if what == "transaction" and next(calls):
            raise Transient("again")
        original(what)

    s.log._may_fail = may_fail  # type: ignore[method-assign]
    s.process(Delivery(1, [say("e")]))
    assert s.refused == ["id-e"]


def test_what_cannot_be_read_is_kept_before_its_neighbours_are_decided_and_acked() -> None:
    s, letter = Setting(), DeadLetter("a command: ValueError", b"x")
    s.log.fail = 1
    s.process(Delivery(1, [say("a")], dead=[letter]), Delivery(1, [], dead=[letter]))
    assert s.log.buried == [letter, letter] and s.bodies == ["a"]
    assert s.troubles == ["transient"], "tried again until it is kept"
