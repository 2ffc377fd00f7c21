"""What a call to a server ends with when its connection went away, whichever server and library it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

LOST = (OSError, TimeoutError, EOFError, RuntimeError, StopAsyncIteration, asyncio.InvalidStateError)
"""For calls that do nothing but talk to a server: OSError holds ConnectionError; RuntimeError is what an event loop raises
of a transport that was closed under an operation, StopAsyncIteration what a library lets through whose frames ended.
The loops that connect anew catch whatever comes: a library's own defect at the wrong moment must not end a process."""

_OF_A_TRANSPORT = (
    "the handler is closed",
    "unable to perform operation on <",
    "closing transport",
    "transport is closing",
)


def went_away(error: BaseException | None) -> bool:
    """For calls that do more: of RuntimeErrors only those that speak of a transport."""
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in _OF_A_TRANSPORT)
    return isinstance(error, (OSError, TimeoutError, EOFError, asyncio.InvalidStateError))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """It, what it came from, and so on, each once: a chain may be a ring."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
