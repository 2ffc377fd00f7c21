"""What the poll of committed batches makes of a row, of this version and of a newer one."""

from __future__ import annotations

from types import SimpleNamespace

from app.adapters.store.heal import _add
from app.application.clock import utc_now
from app.application.ports.store import Healing


def test_rows_are_added_up_and_what_a_newer_version_adds_is_passed_by() -> None:
    healing = Healing("epoch", utc_now(), too_late=False)
    refused = ["c", "a", "id", "message.send", "muted", "quiet", ["p"]]
    _add(healing, SimpleNamespace(heads={"c": 5}, users=["u"], revoked=["r"], refused=[refused]))
    _add(healing, SimpleNamespace(heads={"c": 3, "d": 1}, users=["v"], revoked=[], refused=[[*refused, "and more"]]))
    assert healing.heads == {"c": 5, "d": 1} and healing.users == {"u", "v"} and healing.revoked == {"r"}
    assert [(r.chat_id, r.actor_id, r.id, r.outcome.code, r.outcome.policies) for r in healing.refused] == [
        ("c", "a", "id", "muted", ("p",))
    ] * 2
