"""What a call ends with when its connection went away."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from app.adapters.lost import causes, went_away
from app.adapters.store.driver_errors import Error, kind_of


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionResetError(), True), (BrokenPipeError(), True), (EOFError(), True), (TimeoutError(), True),
        (asyncio.IncompleteReadError(b"", 3), True), (asyncio.InvalidStateError(), True),
        (RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"), True),
        (RuntimeError("3 rows instead of 2"), False), (RuntimeError("generator closed"), False), (RecursionError("maximum recursion depth exceeded"), False),
        (NotImplementedError("connection"), False), (KeyError("connection"), False), (ValueError("closed"), False),
    ],
    ids=repr,
)  # fmt: skip
def test_a_connection_that_went_away_is_known_in_every_form(error: BaseException, passes: bool) -> None:
    assert went_away(error) is passes and (kind_of(error) is Error.PASSES) is passes
    assert not passes or kind_of(sa.exc.DBAPIError("select", {}, error)) is Error.PASSES


def test_a_chain_of_causes_may_be_a_ring() -> None:
    one, two = ValueError("1"), KeyError("2")
    one.__cause__, two.__context__ = two, one
    assert list(causes(one)) == [one, two] and list(causes(None)) == []
    assert kind_of(one) is Error.OURS
