"""What the doors (REST, socket, later gRPC) are given: the use cases of one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.application.accounts import Identity
from app.application.authorize import Pep, Reader
from app.application.background import Background
from app.application.deliver import Hub
from app.application.operators import Operators
from app.application.ports import Accounts, Codec, FanOut, History, OpenSockets, Timeline
from app.application.submit import Limiter, Submitter
from app.domain.message import BODY_MAX


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Limits that the doors see to, and whom they let in. Sizes in bytes, but body_max in characters."""

    body_max: int = BODY_MAX
    frame_in_max: int = 128 * 1024
    sockets_per_user: int = 20
    heartbeat_s: int = 20
    hello_s: float = 5.0
    group_members_max: int = 1_000
    allowed_origins: tuple[str, ...] = ()


@dataclass(slots=True)
class Services:
    """cursor_keys: the first signs lists' cursors, all verify."""

    identity: Identity
    accounts: Accounts
    operators: Operators
    submitter: Submitter
    hub: Hub
    reader: Reader
    pep: Pep
    history: History
    timeline: Timeline
    fan_out: FanOut
    limiter: Limiter
    open_sockets: OpenSockets
    codec: Codec
    settings: DoorSettings
    cursor_keys: tuple[bytes, ...]
    new_id: Callable[[], str]
    group: Background
    on_close: Callable[[int], None] = lambda code: None
    draining: bool = False
