"""Fan-out and live texts on Redis: pub/sub, at most once, silently lossy; nobody trusts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.asyncio.client import PubSub

from app.adapters.redis_connection import LOST, connect
from app.adapters.signing import Signer
from app.adapters.together import Together
from app.application.ports.errors import Transient
from app.application.ports.fan_out import LiveText
from app.application.ports.held import Keep
from app.application.signals import DeltaSignal, chat_channel, pack_delta
from app.domain.state import Pair

PUBLISH_DEADLINE_S = 0.5
PAUSE_S = 1.0
SUBSCRIBE_DEADLINE_S = 1.0
SILENCE_S = 12.0
LOOK_S = 2.0
_TOGETHER = 50
_NOBODY: Pair = ("nobody", "nobody")


class RedisFanOut:
    """Implements FanOut. What isn't signed by us for its channel is dropped."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        *,
        on_drop: Callable[[], None] = lambda: None,
        on_forged: Callable[[], None] = lambda: None,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """on_drop: told where a publish failed. on_forged: told of what was not ours. on_trouble: told each error."""
        self._on_trouble = on_trouble
        self._deaf: str | None = "not connected yet"
        self._dumb: str | None = None
        self._url = url
        self._signer = signer
        self._on_forged = on_forged
        self._publisher = connect(url)
        self._on_drop = on_drop
        self._paused_until = 0.0
        self._handler: Callable[[str, bytes], None] = lambda channel, payload: None
        self._reset: Callable[[], None] = lambda: None
        self._channels: set[str] = set()
        self._heard: set[str] = set()
        """Those that are wanted, and those of them that Redis has confirmed."""
        self._pubsub: PubSub | None = None
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._new = Together(self._subscribe, _TOGETHER)

    def listen(self, handler: Callable[[str, bytes], None], reset: Callable[[], None]) -> None:
        self._handler, self._reset = handler, reset

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        if monotonic() < self._paused_until:
            return
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                pipe = self._publisher.pipeline(transaction=False)
                for channel, payload in messages:
                    pipe.publish(channel, self._signer.sign(channel, payload))
                await pipe.execute()
            self._dumb = None
        except LOST as error:
            self._paused_until = monotonic() + PAUSE_S
            self._dumb = f"Redis takes no messages ({type(error).__name__})"
            self._on_trouble(error)
            self._on_drop()

    async def subscribe(self, channels: Sequence[str]) -> None:
        self._channels.update(channels)
        new = tuple(channel for channel in channels if channel not in self._heard)
        if new and self._pubsub is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                    await self._new.ask(new)

    async def _subscribe(self, lists: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], None]:
        new = list({channel: None for channels in lists for channel in channels if channel in self._channels})
        if self._pubsub is None or not new:  # all channels are taken up when it is back
            return {}
        loop = asyncio.get_running_loop()
        confirmed = [loop.create_future() for _ in new]
        for channel, future in zip(new, confirmed, strict=True):
            self._waiting.setdefault(channel, []).append(future)
        with suppress(*LOST):
            async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                await self._pubsub.subscribe(*new)
                await asyncio.gather(*confirmed)
        return {}

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        known = [channel for channel in channels if channel in self._channels]
        self._channels.difference_update(known)
        self._heard.difference_update(known)
        if known and self._pubsub is not None:
            with suppress(*LOST):
                async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                    await self._pubsub.unsubscribe(*known)

    async def start(self, keep: Keep) -> None:
        keep("fan-out", self._run())

    async def _run(self) -> None:
        """Listen for ever; after a loss connect anew, take all channels up again and say so."""
        first = True
        while True:
            client = connect(self._url)
            pubsub = client.pubsub()
            self._heard.clear()
            try:
                async with asyncio.timeout(SUBSCRIBE_DEADLINE_S):
                    wanted = sorted(self._channels) or ["nothing"]
                    await pubsub.subscribe(*wanted)
                    self._pubsub = pubsub
                    missing = self._channels.difference(wanted)
                    if missing:
                        await pubsub.subscribe(*missing)
                self._deaf = None
                if not first:
                    self._reset()
                first = False
                await self._listen(pubsub)
            except Exception as error:
                self._deaf = f"Redis gives no messages ({type(error).__name__})"
                self._on_trouble(error)
                await asyncio.sleep(0.2)
            finally:
                self._pubsub = None
                self._fail_waiting()
                with suppress(Exception):
                    async with asyncio.timeout(1):
                        await client.aclose()

    async def _listen(self, pubsub: PubSub) -> None:
        heard = monotonic()
        while True:
            async with asyncio.timeout(SILENCE_S):  # the library may try to connect anew, without a bound
                message: Any = await pubsub.get_message(timeout=5)
            if message is None:
                if monotonic() - heard > SILENCE_S:
                    raise TimeoutError("Redis fell silent")
                async with asyncio.timeout(2):
                    await pubsub.ping()
                if self._dumb is not None:  # whether it takes messages again, where nobody has anything to say
                    await self.publish([("nothing", b"")])
                continue
            heard = monotonic()
            if message["type"] == "message":
                channel = message["channel"].decode()
                payload = self._signer.open(channel, message["data"])
                if payload is not None:
                    self._handler(channel, payload)
                else:
                    self._on_forged()
            elif message["type"] == "subscribe":
                channel = message["channel"].decode()
                if channel in self._channels:
                    self._heard.add(channel)
                for future in self._waiting.pop(channel, ()):
                    if not future.done():
                        future.set_result(None)
            elif message["type"] == "unsubscribe":  # behind whatever was confirmed before it
                self._heard.discard(message["channel"].decode())

    def why_not(self) -> str | None:
        return self._deaf or self._dumb

    def _fail_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def close(self) -> None:
        with suppress(*LOST):
            async with asyncio.timeout(1):
                await self._publisher.aclose()


# KEYS: the reply's hash. ARGV: attempt, index, delta, whole text, ttl s, channel, signal, mac of what is kept then.
# 1 when taken, 0 when the attempt is superseded or the reply has ended, -1 when the text is lost and must be given whole.
_APPEND = """
local at = tonumber(redis.call('HGET', KEYS[1], 'attempt'))
local attempt, index = tonumber(ARGV[1]), tonumber(ARGV[2])
if at and (at < 0 or at > attempt) then return 0 end
local nxt = tonumber(redis.call('HGET', KEYS[1], 'next'))
if at == attempt and nxt and nxt > index then return 1 end -- taken before; an attempt has one holder
if at == attempt and nxt == index then
  redis.call('HSET', KEYS[1], 'next', index + 1, 'text', redis.call('HGET', KEYS[1], 'text') .. ARGV[3])
elseif index == 0 or ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'attempt', attempt, 'next', index + 1, 'text', index == 0 and ARGV[3] or ARGV[4])
else
  return -1
end
redis.call('HSET', KEYS[1], 'mac', ARGV[8])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
"""


class RedisLiveTexts:
    """Implements LiveTexts. ttl_s: how long a text is kept after its last delta."""

    def __init__(
        self,
        url: str,
        signer: Signer,
        ttl_s: int = 600,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """on_trouble: of errors, of which one may come with each delta."""
        self._on_trouble = on_trouble
        self._why: str | None = None
        self._redis = connect(url)
        self._signer = signer
        self._append = self._redis.register_script(_APPEND)
        self._ttl_s = ttl_s

    async def start(self, keep: Keep) -> None:
        keep("texts", self._look())

    async def _look(self) -> None:
        """Whether Redis still keeps nothing, where nobody has anything to say."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._why is None:
                continue
            try:
                await self.append(_NOBODY, int(time.time()), 0, "", "")
            except Transient:
                pass
            except Exception as error:  # whatever it is: it is told, and looked at again
                self._on_trouble(error)

    async def append(self, key: Pair, attempt: int, index: int, delta: str, whole: str) -> bool:
        channel = chat_channel(key[0])
        signal = self._signer.sign(channel, pack_delta(DeltaSignal(key[1], attempt, index, delta)))
        mac = self._signer.mac(_key(key), _kept(attempt, index + 1, whole.encode()))
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                taken = -1
                for text in ("", whole):
                    arguments: list[Any] = [attempt, index, delta, text, self._ttl_s, channel, signal, mac]
                    taken = await self._append(keys=[_key(key)], args=arguments)
                    if taken != -1:
                        break
        except LOST as error:
            raise self._lost(error) from error
        self._why = None
        return taken == 1

    def _lost(self, error: BaseException) -> Transient:
        self._on_trouble(error)
        self._why = f"Redis keeps no texts ({type(error).__name__})"
        return Transient(type(error).__name__)

    def why_not(self) -> str | None:
        return self._why

    async def get(self, key: Pair) -> LiveText | None:
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                found: list[Any] = await self._redis.hmget(_key(key), ["attempt", "next", "text", "mac"])
        except LOST as error:
            raise self._lost(error) from error
        if found[0] is None or int(found[0]) < 0:
            return None
        attempt, next_index, text, mac = int(found[0]), int(found[1]), found[2], found[3] or b""
        if not self._signer.is_good(_key(key), _kept(attempt, next_index, text), mac):
            return None
        return LiveText(attempt, next_index, text.decode())

    async def end(self, key: Pair) -> None:
        try:
            async with asyncio.timeout(PUBLISH_DEADLINE_S):
                pipe = self._redis.pipeline(transaction=True)
                pipe.delete(_key(key))
                pipe.hset(_key(key), mapping={"attempt": -1})
                pipe.expire(_key(key), self._ttl_s)
                await pipe.execute()
        except LOST as error:
            raise self._lost(error) from error

    async def close(self) -> None:
        with suppress(*LOST):
            async with asyncio.timeout(1):
                await self._redis.aclose()


def _kept(attempt: int, next_index: int, text: bytes) -> bytes:
    """What a live text's signature is over."""
    return f"{attempt} {next_index} ".encode() + text


def _key(key: Pair) -> str:
    return f"reply:{key[0]}:{key[1]}"
