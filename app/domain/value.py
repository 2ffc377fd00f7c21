"""Values that nobody changes, at a third of their price.

A frozen dataclass sets each of its fields through `object.__setattr__`, which was half of all steps by which a message is
decided. To whoever checks types these are frozen dataclasses; when the program runs they are plain ones that can be hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Any:
        assert frozen, "others are dataclasses"
        return dataclass(slots=slots, unsafe_hash=True)


__all__ = ["value"]
