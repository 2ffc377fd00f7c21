"""20 random SIGKILLs and SIGSTOPs of processes and servers in a minute and a half, under load; the checker judges I1 to I8."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.faults.run import run_faults


async def test_nothing_is_lost_doubled_or_out_of_order_under_twenty_faults(
    record_property: Callable[[str, object], None],
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    report = await run_faults(seed=seed, faults=20, seconds=90, rate=60, people=20)
    record_property("the fault run", str(report))
    assert report.violations == [], f"seed {seed}"
    assert all(report.hits.values()), f"seed {seed}: a cut point was not hit: {report.hits}"
    assert report.committed > 1000 and report.rejected > 100
