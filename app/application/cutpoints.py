"""Named places where a crash is worst, so that a test can crash a process exactly there.

Inert unless CUT_POINTS names a folder. Then a file of the point's name in it kills the process that gets there
first: SIGKILL, no clean-up, as a power cut would.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

POINTS = ("confirm", "commit", "announce", "ack", "claim", "first_delta", "end")
"""confirm: published, the broker's answer not yet told. commit: before it. announce: committed, nobody told.
ack: announced, not acked. claim: a reply was claimed. first_delta: before it. end: the reply's end was submitted."""

_folder = os.environ.get("CUT_POINTS")


def cut(point: str) -> None:
    if _folder is None:
        return
    try:
        os.rename(Path(_folder) / point, Path(_folder) / f"{point}.hit.{os.getpid()}")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def defect(name: str) -> bool:
    """Whether a planted defect is switched on: the fault test must find each of them (GUARANTEES)."""
    return name == _defect


_defect = os.environ.get("PLANTED_DEFECT") if _folder is not None else None
