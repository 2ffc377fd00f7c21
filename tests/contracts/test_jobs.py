"""Replies as jobs: one contract for SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.adapters.store import jobs
from app.adapters.store import tables as t
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.jobs import SqlJobs
from app.application.ports.assistants import AssistantVersion
from app.application.ports.jobs import Job, Quiet, Summary, Written
from app.application.ports.model import Prompt
from app.application.process import Worker
from app.domain.command import Command
from app.domain.fold import Limits
from app.domain.ids import ASSISTANT_ID
from app.domain.messages import BEGINS
from app.domain.replies import ReplySteered
from app.domain.state import Decided
from app.domain.values import Fork, Usage
from app.infrastructure.wiring import new_id as new_uuid7
from tests import actions as c
from tests.contracts.store_setting import PEP, SHARDS, Store
from tests.world import new_id


async def prompt_of(store: Store, job: Job, turns_max: int = 10) -> Prompt:
    prompt = await store.jobs.prompt(job, turns_max)
    assert prompt is not None
    return prompt


async def test_a_reply_has_one_holder_and_the_attempt_is_the_fence(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")))
    claims = await asyncio.gather(*(store.jobs.claim(f"h{n}", 5, 5.0) for n in range(4)))
    [job] = [job for claimed in claims for job in claimed]
    holder = next(f"h{n}" for n, claimed in enumerate(claims) if claimed)
    assert job.attempt == 1 and await store.jobs.renew(holder, job, 5.0, True) == "held"
    assert await store.jobs.renew("another", job, 1.0, False) == "lost"
    [stop] = await store.do(Command(chat_id, anna, new_id(), c.StopReply(job.message_id)))
    assert stop.outcome.seq is None and await store.jobs.renew(holder, job, 0.2, False) == "stop"
    await asyncio.sleep(0.3)
    [again] = await store.jobs.claim("late", 5, 5.0)
    assert (again.attempt, again.stop_requested) == (2, True)

    def end(attempt: int) -> Command:
        action = c.CompleteReply(job.message_id, attempt, "complete", f"text {attempt}")
        return Command(chat_id, ASSISTANT_ID, new_id(), action)

    first, second, third = await store.do(end(1), end(2), end(2))
    assert (first.outcome.seq, second.outcome.seq, third.outcome.seq) == (None, 4, None)
    message = await store.history.message(chat_id, job.message_id)
    assert message is not None and (message.body, message.attempt, message.status) == ("text 2", 2, "complete")
    assert await store.jobs.claim("nobody", 5, 1.0) == [] and await store.jobs.stuck(0) == []
    prompt = await prompt_of(store, again)
    assert [turn.text for turn in prompt.turns] == [f"U (@u{anna[:8]}): @assistant hello"]


async def test_answers_are_written_in_turns_by_who_asked(database: Database) -> None:
    store = Store(database)
    anna, ben, carl = [await store.person() for _ in range(3)]
    chat_id = await store.group(anna, ben, carl)
    asked: dict[str, str] = {}
    for who in (anna, anna, anna, anna, ben, ben, carl):
        [result] = await store.do(Command(chat_id, who, new_id(), c.SendMessage("@assistant?")))
        question = await store.history.message_at(chat_id, result.outcome.seq)
        assert question is not None
        asked[question.id] = who
        await asyncio.sleep(0.002)
    first = await store.jobs.claim("one", 2, 60.0)
    assert [asked[job.question_id] for job in first] == [anna, ben], "not the two oldest, which are one person's"
    then = await store.jobs.claim("two", 3, 60.0)
    assert [asked[job.question_id] for job in then] == [carl, anna, ben], "what is being written counts"
    rest = await store.jobs.claim("one", 10, 60.0)
    assert [asked[job.question_id] for job in rest] == [anna, anna] and await store.jobs.claim("one", 10, 60.0) == []
    await store.jobs.release(first[1])
    [again] = await store.jobs.claim("two", 10, 60.0)
    assert (again.question_id, again.attempt) == (first[1].question_id, 2)


async def test_how_an_answer_came_about_is_kept_by_attempts(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")))
    [first] = await store.jobs.claim("dies", 5, 0.1)
    await asyncio.sleep(0.2)
    [second] = await store.jobs.claim("ends", 5, 60.0)
    prompt = await prompt_of(store, second)
    context = tuple(place for turn in prompt.turns for place in turn.places)
    assert context == ((2, second.question_id, ""),)
    written = Written("cut", "the line broke", 3, 420, "default", "m-1", {"temperature": 0.5}, context, Usage(7, 2))
    assert (await store.jobs.of(chat_id, first.message_id)).attempts[1].written is None  # type: ignore[union-attr]
    await store.jobs.note(second, written)
    found = await store.jobs.of(chat_id, first.message_id)
    assert found is not None and found.assistant_id == ASSISTANT_ID and found.policies
    dead, alive = found.attempts
    assert (dead.attempt, dead.ended_at, dead.written) == (1, None, None)
    assert (alive.attempt, alive.written) == (2, written)
    assert alive.ended_at is not None and dead.started_at < alive.started_at <= alive.ended_at
    assert await store.jobs.of(chat_id, second.question_id) is None and await store.jobs.of(chat_id, new_id()) is None


async def test_in_an_assistants_chat_one_answer_is_written_at_a_time_in_the_order_of_asking(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    await store.do(*(Command(chat_id, anna, new_id(), c.SendMessage(f"question {n}")) for n in range(3)))
    page = await store.history.messages(chat_id, None, 1, 10)
    replies = [message for message in page.messages if message.kind == "assistant"]
    assert [reply.queue for reply in replies] == [None, 1, 2]
    [first] = await store.jobs.claim("one", 5, 60.0)
    assert first.message_id == replies[0].id and await store.jobs.claim("two", 5, 60.0) == []
    assert (await prompt_of(store, first)).untitled, "its answer may name the chat"
    await asyncio.sleep(0.05)
    assert [job.message_id for job in await store.jobs.stuck(0.04)] == [first.message_id], "who waits makes no progress"

    def end(message_id: str) -> Command:
        return Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(message_id, 1, "complete", "so"))

    await asyncio.sleep(0.6)
    await store.do(end(first.message_id))
    assert await store.jobs.stuck(0.5) == [], "its turn has come just now"
    [second] = await store.jobs.claim("two", 5, 60.0)
    assert second.message_id == replies[1].id
    page = await store.history.messages(chat_id, None, 1, 10)
    assert [m.queue for m in page.messages if m.kind == "assistant"] == [None, None, 1]
    prompt = await prompt_of(store, second)
    assert [turn.text for turn in prompt.turns] == ["question 0", "so", "question 1"], "with the answer before it"
    assert not prompt.untitled, "a whole answer stands there"
    await store.do(end(second.message_id))
    assert [job.message_id for job in await store.jobs.claim("two", 5, 60.0)] == [replies[2].id]


async def test_a_quota_holds_over_all_shards_and_workers_at_once(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chats = [new_id() for _ in range(8)]
    await store.do(*(Command(chat_id, anna, new_id(), c.CreateChat("assistant")) for chat_id in chats))

    async def announce(decided: Decided) -> None:
        """To nobody."""

    limits = Limits(1000, replies_per_day=10)
    workers = [Worker(SqlCommandLog(database), PEP.ask, announce, new_uuid7, SHARDS, limits, 600.0) for _ in range(4)]
    asked = [Command(chats[n % 8], anna, new_id(), c.SendMessage(f"question {n}")) for n in range(50)]
    await asyncio.gather(*(workers[n % 4]._decide([command]) for n, command in enumerate(asked)))
    used = await store.jobs.asked(anna)
    assert used.spent.today == 10 and used.spent.this_hour <= 10
    day = used.now.replace(hour=0, minute=0, second=0, microsecond=0)
    [of_the_day] = await store.jobs.used(anna, day, day + timedelta(days=1))
    assert (of_the_day.day, of_the_day.replies, of_the_day.input_tokens) == (day.date().isoformat(), 10, 0)
    assert await store.jobs.used(anna, day - timedelta(days=1), day) == []
    assert sum(one.replies for one in await store.jobs.used(None, day, day + timedelta(days=1))) >= 10


async def test_to_be_taken_up_is_progress_but_not_again_and_again(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")))
    stuck = []
    for attempt in range(1, 5):
        async with database.write() as connection:
            long_ago = await database.now(connection) - timedelta(hours=1)
            await connection.execute(sa.update(t.replies).values(progress_at=long_ago, lease_until=None))
        [job] = await store.jobs.claim(f"h{attempt}", 5, 60.0)
        assert job.attempt == attempt
        stuck.append(len(await store.jobs.stuck(600)))
    assert stuck == [0, 0, 0, 1]


async def assistant(store: Store, **said: Any) -> AssistantVersion:
    """One more, made by nobody."""
    id_ = new_id()
    first = AssistantVersion(
        id_, f"a{id_[:8]}", 1, "A", "", None, "other", {}, None, "everyone", (), datetime.now(UTC), None
    )
    made = replace(first, **said)
    assert await store.assistants.create(made)
    return made


async def test_who_writes_what_and_by_which_version(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    one = await assistant(store, instructions="Be brief.", model="m-1", parameters={"temperature": 0.5})
    chat_id = await store.group(anna)
    body = f"@{one.username} and @assistant: what now?"
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage(body)))
    first, second = await store.jobs.claim("one", 5, 60.0)
    assert [(job.assistant_id, job.provider) for job in (first, second)] == [
        (one.assistant_id, "other"), (ASSISTANT_ID, "default"),
    ]  # fmt: skip
    changed = await store.assistants.change(anna, one.assistant_id, lambda v: replace(v, instructions="At length."))
    assert changed is not None and (changed[0].version, changed[1].version) == (1, 2)
    prompt = await prompt_of(store, first)
    assert (prompt.instructions, prompt.model, prompt.provider, prompt.parameters) == (
        "Be brief.", "m-1", "other", {"temperature": 0.5},
    )  # fmt: skip
    await store.do(Command(chat_id, one.assistant_id, new_id(), c.CompleteReply(first.message_id, 1, "complete", "so")))
    other = await prompt_of(store, second)
    assert [turn.role for turn in other.turns] == ["user"] and other.instructions is None
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage(f"@{one.username} and then?")))
    [third] = await store.jobs.claim("one", 5, 60.0)
    turns = (await prompt_of(store, third)).turns
    assert (await prompt_of(store, third)).instructions == "At length."
    assert [(turn.role, turn.text) for turn in turns][1] == ("assistant", "so"), "its own words"
    assert await store.assistants.delete(anna, one.assistant_id) and await store.jobs.prompt(third, 10) is None
    assert await store.assistants.stop_all(one.assistant_id) == ([(chat_id, third.message_id)], False)
    assert await store.assistants.stop_all(one.assistant_id) == ([], False)
    assert await store.jobs.renew("one", third, 60.0, True) == "stop"
    assert not await store.assistants.delete(anna, one.assistant_id)
    assert await store.assistants.one(one.assistant_id) is None


async def test_no_more_is_claimed_of_a_provider_than_it_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(database)
    anna = await store.person()
    one = await assistant(store)
    chat_id = await store.group(anna)
    for _ in range(3):
        await store.do(Command(chat_id, anna, new_id(), c.SendMessage(f"@{one.username} @assistant")))
    claimed = await store.jobs.claim("one", 4, 60.0, {"other": 1})
    assert sorted(job.provider for job in claimed) == ["default"] * 3 + ["other"]
    assert await store.jobs.claim("one", 9, 60.0, {"other": 0}) == []
    await asyncio.sleep(0.6)
    stuck = await store.jobs.stuck(0.5)
    assert len(stuck) >= 2
    monkeypatch.setattr(jobs, "IN_LINE_S", 0.01)
    assert await store.jobs.claim("one", 9, 60.0, {"other": 0}) == []
    waiting = {job.message_id for job in stuck if job.attempt == 0}
    assert not waiting & {job.message_id for job in await store.jobs.stuck(0.5)}, "who waits for room isn't stuck"
    assert len(await store.jobs.claim("one", 9, 60.0, {"other": 9})) == 2


async def test_where_an_ambient_assistant_might_speak(database: Database) -> None:
    store = Store(database)
    anna, ben = await store.person(), await store.person()
    one = await assistant(store)
    chat_id = await store.group(anna, ben)
    await store.do(
        Command(chat_id, anna, new_id(), c.AddMember(one.assistant_id, "member")),
        Command(chat_id, anna, new_id(), c.UpdateMember(one.assistant_id, ("attention",), attention="ambient")),
    )
    [said] = await store.do(Command(chat_id, ben, new_id(), c.SendMessage("what now?")))

    async def mine() -> list[Quiet]:
        return [quiet for quiet in await store.jobs.quiet(0.05) if quiet.chat_id == chat_id]

    message = await store.history.message_at(chat_id, said.outcome.seq)
    assert message is not None and await mine() == []
    await asyncio.sleep(0.1)
    assert await mine() == [Quiet(chat_id, one.assistant_id, message.id, ben, said.outcome.seq)]
    assert await store.jobs.quiet(0.05, (chat_id, one.assistant_id)) == [
        quiet
        for quiet in await store.jobs.quiet(0.05)
        if (quiet.chat_id, quiet.assistant_id) > (chat_id, one.assistant_id)
    ]
    await store.do(Command(chat_id, anna, new_id(), c.AddReaction(message.id, "👍")))
    await asyncio.sleep(0.1)
    assert [quiet.head for quiet in await mine()] == [said.outcome.seq + 1], "something else happened: a new silence"
    await store.do(Command(chat_id, one.assistant_id, new_id(), c.SpeakUp(message.id, said.outcome.seq + 1, ben)))
    await asyncio.sleep(0.1)
    assert await mine() == [], "it has spoken"


async def test_what_was_asked_beside_an_answer_is_counted_with_it(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")))
    [job] = await store.jobs.claim("one", 5, 60.0)
    await store.jobs.note(job, Written("complete", "", 1, 5, "default", "m", {}, (), Usage(7, 2), 0.5))
    await store.jobs.also_took(job, Usage(3, 1), 0.25)
    await store.jobs.also_took(job, Usage(1, 0), None)
    since = datetime.now(UTC) - timedelta(days=1)
    [day] = await store.jobs.used(anna, since, since + timedelta(days=2))
    assert (day.input_tokens, day.output_tokens, day.cost) == (11, 3, 0.75)


async def line(
    store: Store, chat_id: str, who: str, body: str, *, parent_id: str | None = None, says: str = "so"
) -> str:
    """Ask, and have it answered: the answer's id. says: ended by these words."""
    await store.do(Command(chat_id, who, new_id(), c.SendMessage(body, None, parent_id)))
    [job] = await store.jobs.claim("one", 1, 60.0)
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "complete", says)))
    return job.message_id


async def asked_now(store: Store, chat_id: str, who: str, body: str, parent_id: str | None = None) -> list[str]:
    """What is sent for this question, whose answer is stopped then."""
    await store.do(Command(chat_id, who, new_id(), c.SendMessage(body, None, parent_id)))
    [job] = await store.jobs.claim("one", 1, 60.0)
    texts = [turn.text for turn in (await prompt_of(store, job)).turns]
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "stopped", "")))
    return texts


async def test_a_question_is_sent_with_its_ancestors_alone(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    first = await line(store, chat_id, anna, "q1", says="a1")
    await line(store, chat_id, anna, "q2", says="a2")
    edited = await line(store, chat_id, anna, "q2 edited", parent_id=first, says="a2 edited")
    assert await asked_now(store, chat_id, anna, "q3", edited) == ["q1", "a1", "q2 edited", "a2 edited", "q3"]
    assert await asked_now(store, chat_id, anna, "anew", BEGINS) == ["anew"]
    message = await store.history.message(chat_id, edited)
    assert message is not None and message.parent_id is not None
    question = await store.history.message(chat_id, message.parent_id)
    assert question is not None and question.parent_id == first
    await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(question.id)))
    assert await asked_now(store, chat_id, anna, "q4", edited) == ["q1", "a1", "a2 edited", "q4"]


async def test_what_a_question_replies_to_is_sent_with_it_however_far_above_it_stands(database: Database) -> None:
    store = Store(database)
    anna, ben = await store.person(), await store.person()
    chat_id = await store.group(anna)

    async def said(body: str, reply_to: str | None = None) -> str:
        [done] = await store.do(Command(chat_id, anna, new_id(), c.SendMessage(body, reply_to)))
        message = await store.history.message_at(chat_id, done.outcome.seq)
        assert message is not None
        return message.id

    async def sent() -> list[tuple[str, bool]]:
        [job] = await store.jobs.claim("one", 1, 60.0)
        turns = (await prompt_of(store, job, 3)).turns
        await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "complete", "so")))
        return [(turn.text.partition(": ")[2] or turn.text, turn.ahead) for turn in turns]

    first = await said("first")
    await said("not of it")
    answer = await said("second", first)
    for n in range(4):
        await said(f"small talk {n}")
    await said("@assistant and this?", answer)
    of_it = [("first", True), ("second", True)]
    newest = [("small talk 2", False), ("small talk 3", False), ("@assistant and this?", False)]
    assert await sent() == of_it + newest
    await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(first)))
    await said("@assistant again?", answer)
    assert await sent() == [
        ("second", True),
        ("@assistant and this?", False),
        ("so", False),
        ("@assistant again?", False),
    ]
    await store.do(
        Command(chat_id, anna, new_id(), c.UpdateChat(("history",), history="from_joining")),
        Command(chat_id, anna, new_id(), c.AddMember(ben, "member")),
    )
    await said("@assistant for Ben?", answer)
    assert await sent() == [("@assistant for Ben?", False)], "who came later doesn't see it"


BEFORE = "(What was said before, summed up:)\n"


async def asked_in(store: Store, chat_id: str, who: str, body: str, parent_id: str | None = None) -> Job:
    """A question whose answer is stopped at once."""
    await store.do(Command(chat_id, who, new_id(), c.SendMessage(body, None, parent_id)))
    [job] = await store.jobs.claim("one", 1, 60.0)
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "stopped", "")))
    return job


async def summed(store: Store, job: Job, turns: int, body: str) -> Summary:
    part = await store.jobs.part(job)
    assert part is not None and await store.jobs.sum_up(job, part, turns, body)
    again = await store.jobs.part(job)
    assert again is not None and again.before is not None and again.turns == part.turns[turns:]
    assert again.before.body == body and (await prompt_of(store, job)).summary_id == again.before.id
    return again.before


async def texts_of(store: Store, job: Job) -> list[str]:
    return [turn.text for turn in (await prompt_of(store, job)).turns]


async def test_what_was_said_long_ago_is_sent_summed_up(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    answers = [await line(store, chat_id, anna, f"q{n}", says=f"a{n}") for n in range(4)]
    job = await asked_in(store, chat_id, anna, "now?")
    assert (await prompt_of(store, job)).summary_id == ""
    first = await summed(store, job, 4, "the first two\nas lines")
    before = f"{BEFORE}the first two\n  as lines"
    assert await texts_of(store, job) == [before, "q2", "a2", "q3", "a3", "now?"]
    second = await summed(store, job, 2, "the first three")
    assert second.from_seq == first.from_seq and second.to_seq > first.to_seq
    prompt = await prompt_of(store, job)
    assert [turn.text for turn in prompt.turns] == [f"{BEFORE}the first three", "q3", "a3", "now?"]
    assert prompt.turns[0].ahead and not prompt.untitled
    await store.jobs.note(job, Written("complete", "", 1, 5, "p", "m", {}, (), None, None, prompt.summary_id))
    origins = await store.jobs.of(chat_id, job.message_id)
    assert origins is not None and origins.summary == second
    off = SqlJobs(database)
    told = await off.prompt(job, 10)
    assert told is not None and not told.summary_id and len(told.turns) == 9 and await off.part(job) is None

    branch = await asked_in(store, chat_id, anna, "another", answers[1])
    assert await texts_of(store, branch) == [before, "another"]
    assert await texts_of(store, await asked_in(store, chat_id, anna, "anew", BEGINS)) == ["anew"]


async def test_a_summary_goes_with_what_it_sums_up(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    answers = [await line(store, chat_id, anna, f"q{n}", says=f"a{n}") for n in range(4)]
    job = await asked_in(store, chat_id, anna, "now?")
    first = await summed(store, job, 2, "the first")
    second = await summed(store, job, 2, "the first two")
    await store.jobs.note(job, Written("complete", "", 1, 5, "p", "m", {}, (), None, None, second.id))
    answer = await store.history.message(chat_id, answers[1])
    assert answer is not None and answer.reply_to is not None
    await store.do(Command(chat_id, anna, new_id(), c.EditMessage(answer.reply_to, "q1 as it is now")))
    assert await texts_of(store, job) == [
        f"{BEFORE}the first", "q1 as it is now", "a1", "q2", "a2", "q3", "a3", "now?",
    ]  # fmt: skip
    origins = await store.jobs.of(chat_id, job.message_id)
    assert origins is not None and origins.summary is None
    part = await store.jobs.part(job)
    assert part is not None and part.before == first
    await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(answers[1])))
    assert not await store.jobs.sum_up(job, part, 2, "read before it was deleted")
    part = await store.jobs.part(job)
    assert part is not None
    await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(answers[0])))
    assert not await store.jobs.sum_up(job, part, 1, "what it goes on from has changed")
    assert (await prompt_of(store, job)).summary_id == ""


async def test_two_who_sum_up_at_once_and_one_who_deletes_leave_nothing_that_changed(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    for turn in range(4):
        [said] = await store.do(Command(chat_id, anna, new_id(), c.SendMessage(f"secret {turn}")))
        await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant?")))
        [job] = await store.jobs.claim("one", 1, 60.0)
        await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "complete", "so")))
        message = await store.history.message_at(chat_id, said.outcome.seq)
        part = await store.jobs.part(job)
        assert part is not None and message is not None
        count = len(part.turns) - 1
        gone = Command(chat_id, anna, new_id(), c.DeleteMessage(message.id))
        await asyncio.gather(
            store.jobs.sum_up(job, part, count, "secret"), store.do(gone), store.jobs.sum_up(job, part, count, "secret")
        )
        async with database.read() as connection:
            kept = await connection.scalar(sa.select(sa.func.count()).select_from(t.summaries))
        assert kept == 0 and "secret" not in "".join(await texts_of(store, job))


async def test_an_answer_that_is_still_written_is_not_passed_by(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    for body in ("one", "@assistant slowly", "two", "@assistant quickly"):
        await store.do(Command(chat_id, anna, new_id(), c.SendMessage(body)))
    slow, quick = sorted(await store.jobs.claim("one", 2, 60.0), key=lambda job: job.asked_at or datetime.now(UTC))
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(quick.message_id, 1, "complete", "so")))
    part = await store.jobs.part(quick)
    assert part is not None and [turn.text.rpartition(": ")[2] for turn in part.turns] == ["one", "@assistant slowly"]
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(slow.message_id, 1, "complete", "late")))
    part = await store.jobs.part(quick)
    assert part is not None and len(part.turns) == 5


async def test_a_summary_is_sent_where_all_readers_see_what_it_sums_up(database: Database) -> None:
    store = Store(database)
    anna, ben = await store.person(), await store.person()
    chat_id = await store.group(anna)

    def by(action: Any) -> Command:
        return Command(chat_id, anna, new_id(), action)

    await store.do(by(c.SendMessage("secret")), by(c.SendMessage("@assistant one")))
    [job] = await store.jobs.claim("one", 1, 60.0)
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "stopped", "")))
    await summed(store, job, 1, "a secret was told")
    await store.do(by(c.UpdateChat(("history",), history="from_joining")), by(c.AddMember(ben, "member")))
    await store.do(by(c.SendMessage("@assistant two")))
    [second] = await store.jobs.claim("one", 1, 60.0)
    prompt = await prompt_of(store, second)
    assert [turn.text.partition(": ")[2] for turn in prompt.turns] == ["@assistant two"] and not prompt.summary_id
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(second.message_id, 1, "stopped", "")))
    part = await store.jobs.part(second)
    assert part is not None and part.before is None and len(part.turns) == 1


async def test_what_an_older_version_stored_continues_the_one_before(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    await line(store, chat_id, anna, "q1", says="a1")
    await line(store, chat_id, anna, "q2", says="a2")
    async with database.write() as connection:
        await connection.execute(sa.update(t.messages).where(t.messages.c.chat_id == chat_id).values(parent_id=None))
    assert await asked_now(store, chat_id, anna, "q3") == ["q1", "a1", "q2", "a2", "q3"]


async def test_a_fork_goes_on_from_the_other_chat_as_long_as_all_may_read_that(database: Database) -> None:
    store = Store(database)
    anna, ben = await store.person(), await store.person()
    source, fork = new_id(), new_id()
    await store.do(Command(source, anna, new_id(), c.CreateChat("assistant")))
    first = await line(store, source, anna, "q1", says="a1")
    await line(store, source, anna, "q2", says="a2")
    message = await store.history.message(source, first)
    assert message is not None
    made = c.CreateChat("assistant", None, (), None, None, ASSISTANT_ID, Fork(source, message.seq))
    await store.do(Command(fork, anna, new_id(), made))
    chat, _ = await store.history.chat_for(fork, anna)
    assert chat is not None and chat.terms.forked_from == Fork(source, message.seq)
    answer = await line(store, fork, anna, "q3", says="a3")
    assert await asked_now(store, fork, anna, "q4") == ["q1", "a1", "q3", "a3", "q4"]
    assert await asked_now(store, fork, anna, "anew", BEGINS) == ["anew"], "a line of its own"
    second = new_id()
    of = await store.history.message(fork, answer)
    assert of is not None
    made = c.CreateChat("assistant", None, (), None, None, ASSISTANT_ID, Fork(fork, of.seq))
    await store.do(Command(second, anna, new_id(), made))
    assert await asked_now(store, second, anna, "q5") == ["q1", "a1", "q3", "a3", "q5"], "a fork of a fork"
    await store.do(Command(fork, anna, new_id(), c.AddMember(ben, "member")))
    assert await asked_now(store, fork, ben, "q6") == ["anew", "q6"], "Ben may not read where it came from"
    assert await asked_now(store, second, anna, "q7") == ["q1", "a1", "q3", "a3", "q5", "q7"]


async def test_what_holds_in_a_chat_is_told_with_what_is_sent(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    source, fork = new_id(), new_id()
    await store.do(Command(source, anna, new_id(), c.CreateChat("assistant")))
    answer = await line(store, source, anna, "q1")
    at = await store.history.message(source, answer)
    assert at is not None
    made = c.CreateChat("assistant", None, (), None, None, ASSISTANT_ID, Fork(source, at.seq))
    await store.do(Command(fork, anna, new_id(), made))
    await store.do(Command(fork, anna, new_id(), c.SendMessage("q2")))
    [job] = await store.jobs.claim("one", 1, 60.0)
    assert not (await prompt_of(store, job)).local_only
    await store.do(Command(source, anna, new_id(), c.UpdateChat(("local_only",), local_only=True)))
    assert (await prompt_of(store, job)).local_only, "of the chat that the line comes from"
    group = await store.group(anna)
    await store.do(Command(group, anna, new_id(), c.SendMessage("@assistant?")))
    [job] = await store.jobs.claim("one", 1, 60.0)
    assert not (await prompt_of(store, job)).agreed
    await store.do(Command(group, anna, new_id(), c.UpdateChat(("assistant_consent",), assistant_consent=True)))
    assert (await prompt_of(store, job)).agreed


async def test_remarks_are_told_behind_the_question_and_go_with_it(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = new_id()
    await store.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant")))
    await store.do(*(Command(chat_id, anna, new_id(), c.SendMessage(f"q{n}")) for n in range(2)))
    page = await store.history.messages(chat_id, None, 1, 10)
    first, second = [message for message in page.messages if message.kind == "assistant"]
    steer = [Command(chat_id, anna, new_id(), c.SteerReply(second.id, text)) for text in ("shorter", "in verse")]
    told = [result.outcome for result in await store.do(*steer)]
    assert [outcome.code for outcome in told] == [None, None]
    await store.do(Command(chat_id, anna, new_id(), c.StopReply(first.id)))
    [job] = await store.jobs.claim("one", 5, 60.0)
    assert [turn.text for turn in (await prompt_of(store, job)).turns] == ["q0", "q1\n\nshorter\n\nin verse"]
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(second.id, 1, "complete", "a1")))
    assert await asked_now(store, chat_id, anna, "q2") == ["q0", "q1\n\nshorter\n\nin verse", "a1", "q2"]
    events = [event.payload for event in await store.timeline.events(chat_id, 0, 100) if event.type == "reply.steered"]
    assert events == [ReplySteered(second.id, "shorter"), ReplySteered(second.id, "in verse")]
    await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(second.id)))
    events = [event.payload for event in await store.timeline.events(chat_id, 0, 100) if event.type == "reply.steered"]
    assert events == [ReplySteered(second.id, "")] * 2


async def test_a_persons_own_quotas_and_what_today_took(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    await store.accounts.administer(None, anna, None, None, {"replies_per_day": 2, "tokens_per_day": 5})
    await store.accounts.administer(None, anna, None, None, {"tokens_per_day": None})
    account = await store.accounts.by_id(anna)
    assert account is not None and account.quotas == {"replies_per_day": 2}
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")))
    open_ = await store.jobs.asked(anna)
    assert open_.quotas == {"replies_per_day": 2} and 1_000 < open_.spent.tokens < 1_020, "what it may take"
    [job] = await store.jobs.claim("one", 5, 60.0)
    await store.jobs.note(job, Written("complete", "", 1, 5, "default", "m", {}, (), Usage(7, 2)))
    await store.do(Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "complete", "so")))
    assert (await store.jobs.asked(anna)).spent.tokens == 9, "what it took"
    await store.do(*(Command(chat_id, anna, new_id(), c.SendMessage("@assistant hello")) for _ in range(2)))
    assert [silence.code for silence in store.decided[0].state.changes.silences] == ["quota_exceeded"]


async def test_an_answer_is_written_of_what_all_its_readers_see(database: Database) -> None:
    store = Store(database)
    anna, ben, carl = [await store.person() for _ in range(3)]
    chat_id = await store.group(anna)

    def by(action: Any, who: str = anna) -> Command:
        return Command(chat_id, who, new_id(), action)

    async def texts(job: Job) -> list[str]:
        return [turn.text.partition(": ")[2] for turn in (await prompt_of(store, job)).turns]

    await store.do(by(c.SendMessage("secret")), by(c.UpdateChat(("history",), history="from_joining")))
    await store.do(by(c.SendMessage("@assistant before Ben")))
    [first] = await store.jobs.claim("one", 5, 60.0)
    await store.do(by(c.AddMember(ben, "member")), by(c.SendMessage("with Ben")))
    assert await texts(first) == ["secret", "@assistant before Ben"], "Ben doesn't see this answer"
    await store.do(by(c.SendMessage("@assistant with Ben")))
    [second] = await store.jobs.claim("one", 5, 60.0)
    await store.do(by(c.AddMember(carl, "member")), by(c.SendMessage("@assistant with Carl")))
    assert await texts(second) == ["with Ben", "@assistant with Ben"]
    [third] = await store.jobs.claim("one", 5, 60.0)
    assert await texts(third) == ["@assistant with Carl"]
    await store.do(by(c.RemoveMember(carl)), by(c.SendMessage("@assistant without Carl")))
    [fourth] = await store.jobs.claim("one", 5, 60.0)
    assert await texts(fourth) == ["with Ben", "@assistant with Ben", "@assistant with Carl", "@assistant without Carl"]
