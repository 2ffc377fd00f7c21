"""python -m tests.faults.defects: planted defects, each of which the fault run must find, and none without one."""

from __future__ import annotations

import asyncio
import random
import sys

from tests.faults.planted import DEFECTS
from tests.faults.run import run_faults

TRIES = 3


async def caught(defect: str) -> bool:
    for _ in range(TRIES):
        seed = random.SystemRandom().randrange(2**32)
        report = await run_faults(seed=seed, faults=14, seconds=70, rate=150, people=20, defect=defect)
        if report.violations:
            return True
    return False


def main() -> None:
    print("== no defect", flush=True)
    if asyncio.run(
        run_faults(seed=random.SystemRandom().randrange(2**32), faults=20, seconds=120, rate=100, people=20)
    ).violations:
        sys.exit("the product itself violates what it promises")
    missed = []
    for defect in DEFECTS:
        print(f"== {defect}", flush=True)
        if not asyncio.run(caught(defect)):
            missed.append(defect)
    print(f"{len(DEFECTS) - len(missed)} of {len(DEFECTS)} planted defects found", *missed)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
