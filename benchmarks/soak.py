"""python -m benchmarks.soak [MINUTES]: half of what is carried, for half an hour: what each process keeps of memory.

A million messages lie there before. Each minute all sockets come anew. At the end: whether memory grew from the first third to
the last, and what was lost.
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import mean

import asyncpg

from benchmarks.__main__ import load, memory_kib
from benchmarks.contenders import Parley, parley
from stack.servers import Servers

RATE, BEFORE = 2_500, 1_000_000
GROWN = 1.1
_BATCH = 50_000


async def lay_down(of: Parley, chat_ids: list[str], user_id: str) -> None:
    """BEFORE messages in these chats, by COPY."""
    driver = await asyncpg.connect(of.database)
    each = BEFORE // len(chat_ids)
    await driver.execute("create temp table said (chat_id uuid, n int)")
    for begin in range(0, BEFORE, _BATCH):
        rows = [(chat_ids[n // each % len(chat_ids)], 1_000 + n % each) for n in range(begin, begin + _BATCH)]
        await driver.copy_records_to_table("said", records=rows)
    await driver.execute(
        "insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)"
        " select chat_id, n, gen_random_uuid(), $1, 'user', gen_random_uuid(), 'words of a message ' || n, 'complete', now() from said",
        user_id, timeout=900,
    )  # fmt: skip
    await driver.execute("update chats set head = 1000 + $1 where id = any($2::uuid[])", each, chat_ids)
    await driver.execute("vacuum analyze", timeout=900)
    await driver.close()


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    servers = Servers(fsync=True)
    try:
        servers.start()
        with parley(servers) as of:
            places = of.places(20, 10)
            asyncio.run(lay_down(of, list({place["chat_id"]: 0 for place in places}), places[0]["user_id"]))
            roles = {name: pid for name, pid in of.pids.items() if name[-1].isdigit()}
            kept: dict[str, list[float]] = {name: [] for name in roles}
            spec = {"kind": "parley", "do": "send", "sockets": places, "members": 10, "rate": RATE, "seconds": 55}
            lost, until = 0, time.monotonic() + 60 * minutes
            while time.monotonic() < until:
                found = load(spec, servers.folder)
                lost += found["lost"] + found["doubled"] + found["errors"]
                for name, pid in roles.items():
                    kept[name].append(memory_kib(pid) / 1024)
                told = ", ".join(f"{name} {mib[-1]:.0f} MiB" for name, mib in kept.items())
                print(
                    f"  {len(kept['gateway0'])}: p50 {found['p50_ms']:.1f}, p99 {found['p99_ms']:.1f} ms, {told}",
                    flush=True,
                )
    finally:
        servers.stop()
    third = max(1, minutes // 3)
    grown = {name: mean(mib[-third:]) / mean(mib[:third]) for name, mib in kept.items()}
    print(
        ", ".join(f"{name} {times:.2f} × the first {third} minutes" for name, times in grown.items()),
        f"{lost} lost",
        sep="; ",
    )
    if lost or max(grown.values()) > GROWN:
        raise SystemExit("memory grew, or something was lost")


if __name__ == "__main__":
    main()
