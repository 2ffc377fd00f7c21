"""One contract for both buses: accepted means safe, in the order of submit, each command at least once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aio_pika
import pytest

from app.adapters.broker.collector import WAITING_BYTES_MAX
from app.adapters.broker.envelope import BadEnvelope, EnvelopeCodec, NewerEnvelope
from app.adapters.broker.in_process import InProcessBus
from app.adapters.broker.rabbitmq import consumer, publisher
from app.adapters.broker.rabbitmq.connection import connect, queue_name
from app.adapters.broker.rabbitmq.consumer import RabbitConsumer
from app.adapters.broker.rabbitmq.publisher import RabbitPublisher
from app.application.background import Background
from app.application.lanes import Lanes
from app.application.ports.bus import CommandBus, DeadLetter, Delivery, Process
from app.application.ports.errors import OutcomeUnknown, Unavailable
from app.domain.command import Command, UnknownAction
from app.domain.messages import SendMessage
from stack.pace import paced, within
from stack.servers import Servers
from tests.held import held
from tests.world import new_id

SHARDS = 8
LANES = Lanes(SHARDS, 2)
SECRET = "a secret of these tests"
BACKGROUND = Background(lambda what, error: None)


def command(chat_id: str, body: str) -> Command:
    return Command(chat_id, new_id(), new_id(), SendMessage(body), "p", True, 7)


@asynccontextmanager
async def running(
    kind: str, servers: Servers, process: Process, refused: list[str] | None = None, lanes: Lanes = LANES
) -> AsyncIterator[CommandBus]:
    if kind == "in process":
        bus = InProcessBus(SHARDS)
        async with held(bus, kept=(bus.consume(process),)):
            yield bus
        return
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "contract")
    publisher = RabbitPublisher(url, lanes, EnvelopeCodec([SECRET]), BACKGROUND)
    consumer = RabbitConsumer(
        url,
        lanes,
        EnvelopeCodec(["a newer secret", SECRET]),
        BACKGROUND,
        on_refused=(refused if refused is not None else []).append,
    )
    async with held(publisher, consumer, kept=(consumer.consume(process),)):
        while publisher.why_not() is not None:
            await asyncio.sleep(0.05)
        yield publisher
        await consumer.drain()


@pytest.mark.parametrize(("kind", "count"), [("in process", SHARDS), ("rabbitmq", 2), ("rabbitmq", SHARDS)])
async def test_accepted_commands_are_processed_in_order_of_submit(kind: str, count: int, servers: Servers) -> None:
    """Also with a queue a shard, as versions before lanes laid it out."""
    lanes = Lanes(SHARDS, count)
    got: list[Command] = []
    batches: list[int] = []

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        batches.append(sum(len(d.commands) for d in deliveries))
        await asyncio.sleep(0.005)
        for delivery in deliveries:
            assert all(lanes.of(c.chat_id) == delivery.lane for c in delivery.commands)
            got.extend(delivery.commands)
        return ()

    async with running(kind, servers, process, lanes=lanes) as bus:
        chats = [new_id() for _ in range(5)]
        sent = [command(chats[n % 5], str(n)) for n in range(1000)]
        await asyncio.wait_for(asyncio.gather(*(bus.submit(c) for c in sent)), paced(20))
        async with within(20):
            while len(got) < len(sent):
                await asyncio.sleep(0.02)
    for chat_id in chats:
        assert [c for c in got if c.chat_id == chat_id] == [c for c in sent if c.chat_id == chat_id]
    assert len(batches) < 300, "batches form by themselves under load"


async def test_a_command_that_cant_be_encoded_fails_alone(servers: Servers) -> None:
    """Those around it, of the same chat and moment, are safe."""
    got: list[str] = []

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        got.extend(c.action.body for d in deliveries for c in d.commands if isinstance(c.action, SendMessage))
        return ()

    async with running("rabbitmq", servers, process) as bus:
        chat_id = new_id()
        before = [bus.submit(command(chat_id, str(n))) for n in range(5)]
        for bad in (command(chat_id, "\ud800"), replace(command(chat_id, "x"), tag=2**70)):
            with pytest.raises((UnicodeEncodeError, OverflowError)):
                await bus.submit(bad)
        behind = [bus.submit(command(chat_id, str(n))) for n in range(5, 10)]
        await asyncio.wait_for(asyncio.gather(*before, *behind), paced(20))
        async with within(10):
            while len(got) < 10:
                await asyncio.sleep(0.01)
    assert got == [str(n) for n in range(10)]


@pytest.mark.parametrize("error", [StopAsyncIteration(), KeyError("x"), AttributeError("x"), RuntimeError("x")])
async def test_whatever_a_library_raises_of_a_lost_connection_ends_no_process(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The loops that connect anew go on: both sides serve as soon as the broker does."""
    met: list[BaseException] = []

    async def fails(url: str, name: str) -> Any:
        met.append(error)
        if len(met) < 5:
            raise error
        return await connect(url, name)

    monkeypatch.setattr(publisher, "connect", fails)
    monkeypatch.setattr(consumer, "connect", fails)
    monkeypatch.setattr(publisher, "RECONNECT_S", 0.05)
    monkeypatch.setattr(consumer, "RECONNECT_S", 0.05)
    got: list[Command] = []

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        got.extend(c for delivery in deliveries for c in delivery.commands)
        return ()

    async with within(20), running("rabbitmq", servers, process) as bus:
        await bus.submit(command(new_id(), "x"))
        while not got:
            await asyncio.sleep(0.01)


async def test_in_process_nothing_is_accepted_before_it_is_committed() -> None:
    gate, began = asyncio.Event(), asyncio.Event()

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        began.set()
        await gate.wait()
        return ()

    bus = InProcessBus(SHARDS)
    async with held(bus, kept=(bus.consume(process),)):
        future = bus.submit(command(new_id(), "x"))
        await began.wait()
        await asyncio.sleep(0.1)
        assert not future.done()
        gate.set()
        await asyncio.wait_for(future, paced(1))


async def test_in_process_what_was_left_was_not_accepted() -> None:
    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        return [d for d in deliveries if any(isinstance(c.action, UnknownAction) for c in d.commands)]

    bus = InProcessBus(SHARDS)
    async with held(bus, kept=(bus.consume(process),)):
        chat_id = new_id()
        known, unknown = (
            command("0" * 8 + chat_id[8:-1] + "0", "x"),
            Command(chat_id[:-1] + "1", "a", "b", UnknownAction("new")),
        )
        good, left = bus.submit(known), bus.submit(unknown)
        await asyncio.wait_for(good, paced(1))
        with pytest.raises(Unavailable):
            await left
        assert bus._collector._budget._left == WAITING_BYTES_MAX, "what was taken is given back, once"


async def test_a_broker_that_hangs_has_accepted_nothing(servers: Servers) -> None:
    """Accepted means confirmed; what is not confirmed in 2 s may have landed, and is never said again by us."""
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "hangs")
    publisher = RabbitPublisher(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    async with held(publisher):
        while publisher.why_not() is not None:
            await asyncio.sleep(0.05)
        chat_id = new_id()
        await asyncio.wait_for(publisher.submit(command(chat_id, "before")), paced(5))
        servers.rabbitmq.child.pause()
        try:
            sent = [publisher.submit(command(chat_id, str(n))) for n in range(3)]
            await asyncio.sleep(1)
            assert not any(future.done() for future in sent)
            with pytest.raises(OutcomeUnknown):
                await asyncio.wait_for(sent[0], paced(3))
        finally:
            servers.rabbitmq.child.resume()
        ends = await asyncio.wait_for(asyncio.gather(*sent, return_exceptions=True), paced(15))
        assert all(end is None or isinstance(end, (OutcomeUnknown, Unavailable)) for end in ends)
        async with within(15):
            while True:
                try:
                    await publisher.submit(command(chat_id, "after"))
                    break
                except (Unavailable, OutcomeUnknown):
                    await asyncio.sleep(0.1)


async def test_envelopes_outlive_the_broker_and_go_where_there_is_a_queue(servers: Servers) -> None:
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "durable")
    publisher = RabbitPublisher(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    sent = command(new_id(), "x")
    name = queue_name(LANES, LANES.of(sent.chat_id))
    async with held(publisher), await aio_pika.connect(url) as connection:
        while publisher.why_not() is not None:
            await asyncio.sleep(0.05)
        await asyncio.wait_for(publisher.submit(sent), paced(5))
        channel = await connection.channel()
        queue = await channel.get_queue(name)
        got: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(got.put)
        message = await asyncio.wait_for(got.get(), paced(5))
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        await message.ack()
        await queue.delete(if_unused=False, if_empty=False)
        with pytest.raises(Unavailable, match="no queue"):
            await asyncio.wait_for(publisher.submit(sent), paced(5))


async def test_a_lane_changes_hands_with_work_unacknowledged_and_nothing_is_done_by_two_at_once(
    servers: Servers,
) -> None:
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "hands")
    chat_id = new_id()
    done: list[str] = []
    busy = 0

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        nonlocal busy
        assert busy == 0, "two decide one lane"
        busy += 1
        await asyncio.sleep(0.03)
        done.extend(c.action.body for d in deliveries for c in d.commands if isinstance(c.action, SendMessage))
        busy -= 1
        return ()

    publisher = RabbitPublisher(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    consumers = [RabbitConsumer(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND) for _ in range(3)]
    async with held(publisher, *consumers, kept=tuple(consumer.consume(process) for consumer in consumers)):
        while publisher.why_not() is not None:
            await asyncio.sleep(0.05)
        for n in range(60):
            await asyncio.wait_for(publisher.submit(command(chat_id, str(n))), paced(5))
            if n in (20, 40):
                async with within(20):  # who is given the lane, knows it with the first delivery
                    while not (active := [c for c in consumers if LANES.of(chat_id) in c.active()]):
                        await asyncio.sleep(0.02)
                await active[0].drain()
        async with within(10):
            while len(done) < 60:
                await asyncio.sleep(0.02)
        await consumers[2].drain()
        await consumers[1].drain()
        await consumers[0].drain()
    assert done == [str(n) for n in range(60)], "each once, in order"


async def test_what_is_unsigned_or_of_another_lane_is_refused_and_counted(servers: Servers) -> None:
    got: list[Command] = []
    dead: list[DeadLetter] = []
    refused: list[str] = []

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        got.extend(c for d in deliveries for c in d.commands)
        dead.extend(letter for d in deliveries for letter in d.dead)
        return ()

    async with running("rabbitmq", servers, process, refused) as bus:
        url = servers.rabbitmq.url + "contract"
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        good, forger = EnvelopeCodec([SECRET]), EnvelopeCodec(["a guess"])
        mine = command(new_id(), "in another's name")
        lane = LANES.of(mine.chat_id)
        packed = [good.pack_command(mine)]
        for body, where, headers in (
            (forger.seal(lane, packed), lane, {}),
            (b"junk", lane, {"x-delivery-count": "abc"}),
            (good.seal(lane, packed), (lane + 1) % LANES.count, {}),
            (good.seal(lane, [b"\xc1"]), lane, {}),
        ):
            message = aio_pika.Message(body, headers=headers)  # type: ignore[arg-type]
            await channel.default_exchange.publish(message, queue_name(LANES, where))
        honest = command(mine.chat_id, "honest")
        await asyncio.wait_for(bus.submit(honest), paced(5))
        async with within(10):
            while honest not in got:
                await asyncio.sleep(0.02)
        await connection.close()
    assert got == [honest] and len(refused) == 4
    assert [letter.reason.partition(":")[0] for letter in dead] == ["an envelope"] * 2, "what we signed is kept"


def test_an_envelope_opens_only_with_a_known_secret_and_version() -> None:
    old, new = EnvelopeCodec(["old"]), EnvelopeCodec(["new", "old"])
    c = command(new_id(), "x")
    assert new.open(old.seal(3, [old.pack_command(c)])) == (3, [c], [])
    with pytest.raises(BadEnvelope):
        old.open(new.seal(3, [new.pack_command(c)]))
    sealed = bytearray(old.seal(3, [old.pack_command(c)]))
    sealed[-1] ^= 1
    with pytest.raises(BadEnvelope):
        old.open(bytes(sealed))
    import hmac

    import msgspec

    body = msgspec.msgpack.encode([2, 3, []])
    with pytest.raises(NewerEnvelope):
        old.open(hmac.digest(old._keys[0], body, "sha256") + body)


async def test_what_only_a_newer_version_knows_is_left_for_it_in_order(servers: Servers) -> None:
    """An older worker gives the lane back, with all that is behind; the newer one goes on where it stopped."""
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "versions")
    chat_id = new_id()
    lane = LANES.of(chat_id)
    poll = Command(chat_id, new_id(), new_id(), UnknownAction("poll.open", {"question": "tea?"}))
    sent = [command(chat_id, "1"), poll, command(chat_id, "2"), command(chat_id, "3")]
    by_old: list[Command] = []
    by_new: list[Command] = []

    async def old(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """As Worker does."""
        for place, delivery in enumerate(deliveries):
            if any(isinstance(c.action, UnknownAction) for c in delivery.commands):
                return deliveries[place:]
            by_old.extend(delivery.commands)
        return ()

    async def new(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        by_new.extend(c for d in deliveries for c in d.commands)
        return ()

    publisher = RabbitPublisher(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    older, newer = (RabbitConsumer(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND) for _ in range(2))
    async with held(publisher, older, kept=(older.consume(old),)):
        while publisher.why_not() is not None:
            await asyncio.sleep(0.05)
        for each in sent:  # one envelope each
            await asyncio.wait_for(publisher.submit(each), paced(5))
        async with within(5):
            while by_old != sent[:1] or lane in older.active():
                await asyncio.sleep(0.02)
        async with held(newer, kept=(newer.consume(new),)):
            async with within(10):
                while len(by_new) < 3:
                    await asyncio.sleep(0.02)
            await newer.drain()
        assert by_old == sent[:1] and by_new == sent[1:], "none lost, none twice, in order"
        await older.drain()


async def test_without_a_broker_nothing_is_accepted(servers: Servers) -> None:
    publisher = RabbitPublisher("amqp://guest:guest@127.0.0.1:1/", LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    async with held(publisher):
        with pytest.raises(Unavailable):
            await publisher.submit(command(new_id(), "x"))


@pytest.mark.parametrize(
    ("rights", "publishes", "consumes"),
    [
        (None, "it refuses the name or the password", "it refuses the name or the password"),
        (("", ".*", ".*"), "it refuses this name the right", "it refuses this name the right"),
        ((".*", "", ".*"), "it refuses this name the right", None),
        ((".*", ".*", ""), None, "it refuses this name the right"),
        ("no vhost", "it has no such vhost, or refuses this name in it", "it has no such vhost, or refuses this name in it"),
    ],
    ids=["password", "configure", "write", "read", "vhost"],
)  # fmt: skip
async def test_a_broker_that_refuses_is_told_in_words_and_nothing_is_in_doubt(
    servers: Servers, rights: Any, publishes: str | None, consumes: str | None
) -> None:
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "refusing")
    place, name = url.partition("@")[2], f"u{new_id()[:8]}"
    if isinstance(rights, tuple):
        for words in (("add_user", name, "pw"), ("set_permissions", "-p", "refusing", name, *rights)):
            await asyncio.to_thread(servers.rabbitmq.ctl, *words)
        url = f"amqp://{name}:pw@{place}"
    elif rights is None:
        url = f"amqp://{name}:pw@{place}"
    else:
        url = url.replace("refusing", "nowhere")
    troubles: list[BaseException] = []
    publisher = RabbitPublisher(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND, on_trouble=troubles.append)
    consumer = RabbitConsumer(url, LANES, EnvelopeCodec([SECRET]), BACKGROUND, on_trouble=troubles.append)

    async def process(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        return ()

    async with held(publisher, consumer, kept=(consumer.consume(process),)):
        async with within(10):
            while publisher.why_not() is not None and not troubles:
                await asyncio.sleep(0.02)
        sent = publisher.submit(command(new_id(), "x"))
        if publishes is None:
            await asyncio.wait_for(sent, paced(5))
        else:
            with pytest.raises(Unavailable, match=publishes):
                await asyncio.wait_for(sent, paced(5))
        told = [
            words and f"the broker {does} nothing: {words}"
            for does, words in (("takes", publishes), ("gives", consumes))
        ]
        async with within(10):
            while [publisher.why_not(), consumer.why_not()] != told:
                await asyncio.sleep(0.05)
    assert troubles, "for the log and the alert"


async def test_a_right_that_is_given_back_is_seen_without_anybody_saying_anything(servers: Servers) -> None:
    url = await asyncio.to_thread(servers.rabbitmq.vhost, "giving")
    name = f"u{new_id()[:8]}"
    await asyncio.to_thread(servers.rabbitmq.ctl, "add_user", name, "pw")

    async def give(*rights: str) -> None:
        await asyncio.to_thread(servers.rabbitmq.ctl, "set_permissions", "-p", "giving", name, *rights)

    await give(".*", "", ".*")
    publisher = RabbitPublisher(f"amqp://{name}:pw@{url.partition('@')[2]}", LANES, EnvelopeCodec([SECRET]), BACKGROUND)
    async with held(publisher):
        async with within(10):
            while publisher.why_not() is not None:
                await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(publisher.submit(command(new_id(), "x")), paced(5))
        await asyncio.sleep(3)
        assert publisher.why_not() is not None
        await give(".*", ".*", ".*")
        async with within(20):
            while publisher.why_not() is not None:
                await asyncio.sleep(0.1)
        await asyncio.wait_for(publisher.submit(command(new_id(), "x")), paced(5))
