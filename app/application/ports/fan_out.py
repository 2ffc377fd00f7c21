"""The fan-out: how processes tell each other, and what they share that may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.application.ports.held import Held
from app.domain.state import Pair


class FanOut(Held, Protocol):
    """At most once, in order per channel from one publisher, silently lossy: nobody trusts it. Started, it listens."""

    def listen(self, handler: Callable[[str, bytes], None], reset: Callable[[], None]) -> None:
        """handler: called in the event loop with channel and payload of each message of a subscribed channel; must not
        raise. reset: called after the connection was lost and made anew, when anything may have been missed. To be
        called before `start`."""
        ...

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """(channel, payload) each, in this order. One try of at most 500 ms; what fails is dropped, never raised."""
        ...

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Returns when messages published from now on will arrive, or the server can't be reached within 1 s (the
        subscription is made when it can). A channel that is subscribed is left as it is."""
        ...

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        """What is not subscribed is passed over."""
        ...

    def why_not(self) -> str | None:
        """In words, what it can't do just now; None where all is well."""
        ...


@dataclass(frozen=True, slots=True)
class LiveText:
    """A reply's text so far, for who comes late: deltas 0 … next_index-1 of the attempt."""

    attempt: int
    next_index: int
    text: str


class LiveTexts(Held, Protocol):
    """Texts of replies while they stream, by (chat id, message id). May be lost at any time: the holder writes the
    whole anew."""

    async def append(self, key: Pair, attempt: int, index: int, delta: str, whole: str) -> bool:
        """Append delta `index` of the attempt and publish it on the chat's channel, in one atomic step. False where
        that attempt is superseded or ended. A lost text is replaced by `whole`. Raises Transient."""
        ...

    async def get(self, key: Pair) -> LiveText | None:
        """None where nothing streams, or it was lost. Raises Transient."""
        ...

    async def end(self, key: Pair) -> None:
        """The reply is over: no delta is taken any more. Raises Transient."""
        ...

    def why_not(self) -> str | None:
        """In words, why nothing streams just now; None where the last try went well."""
        ...


class OpenSockets(Held, Protocol):
    """Which sockets a user has open, on all gateways. Best effort: what a dead process left is forgotten after 30 s.
    Started, it tells the others what is open here; closed, that nothing is."""

    async def opened(self, user_id: str, session_id: str, most: int) -> list[str]:
        """Count this one in; session ids of the oldest beyond `most`, on whatever gateway."""
        ...

    def closed(self, user_id: str, session_id: str) -> None:
        """Count it out; one that was never counted in is passed over."""
        ...
