"""Up to where each chat was applied, kept across runs: in a file, or in a mapping of the caller's."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any


class Kept:
    """{"epoch": …, "chats": {chat id: seq}}. A file is written aside and renamed, twice a second at most: what was applied
    since then comes again after a crash."""

    def __init__(self, where: MutableMapping[str, Any] | str | Path) -> None:
        """Raises ValueError for a file that holds something else."""
        self._file = Path(where) if isinstance(where, (str, Path)) else None
        self._state: MutableMapping[str, Any] = {} if isinstance(where, (str, Path)) else where
        if self._file is not None and self._file.exists():
            self._state = json.loads(self._file.read_text())
            if not isinstance(self._state, dict) or not isinstance(self._state.get("chats"), dict):
                raise ValueError(f"{self._file} is no state of a client")
        self.new = not self._state.get("epoch")
        """Nothing was kept yet: chats begin with what comes from now on."""
        self._changed = False

    @property
    def epoch(self) -> str:
        return str(self._state.get("epoch", ""))

    @property
    def cursors(self) -> dict[str, int]:
        return dict(self._state.get("chats", {}))

    def begin(self, epoch: str, cursors: dict[str, int]) -> None:
        self._state["epoch"], self._state["chats"] = epoch, cursors
        self.new, self._changed = False, True
        self.write()

    def put(self, chat_id: str, seq: int) -> None:
        self._state.setdefault("chats", {})[chat_id] = seq
        self._changed = True

    def drop(self, chat_id: str) -> None:
        self._state.setdefault("chats", {}).pop(chat_id, None)
        self._changed = True

    def write(self) -> None:
        """What changed; called twice a second, and in the end."""
        if self._file is None or not self._changed:
            return
        beside = self._file.with_name(self._file.name + ".new")
        with open(beside, "w") as file:
            json.dump(dict(self._state), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)
        self._changed = False
