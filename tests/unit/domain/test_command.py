"""A command and what it carries."""

from __future__ import annotations

from dataclasses import replace

from app.domain.command import Command
from tests import actions as c
from tests.unit.domain.scene import ANNA, CHAT


def test_a_command_is_stamped_and_otherwise_the_same() -> None:
    command = Command(CHAT, ANNA, "id", c.SendMessage("x"), "process", True, 7)
    assert command.stamped("trace", 1.5) == replace(command, trace="trace", sent_at=1.5)
