"""python -m tests.faults.rolling [--times 3]: every process of the stack restarted in turn under load; nothing may be lost."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from stack.servers import Servers
from tests.faults.load import Load
from tests.world import People, World, start_real

PAIRS = 10


async def roll(world: World, database_url: str, times: int) -> None:
    people = People(world)
    loads = [await Load.start(people) for _ in range(PAIRS)]
    assert world.stack is not None
    for _ in range(times):
        for role in world.stack.roles:
            began = time.monotonic()
            await asyncio.to_thread(role.child.stop)
            drained = time.monotonic()
            await asyncio.to_thread(role.start)
            print(
                f"{role.child.name}: drained in {drained - began:.1f} s, back in {time.monotonic() - drained:.1f} s",
                flush=True,
            )
    for load in loads:
        await load.end(database_url)
    said = sum(len(load.sent.ids) for load in loads)
    welcomes = [client.connections for load in loads for client in (load.talker, load.listener)]
    print(
        f"{said} messages of {PAIRS} pairs: 0 lost, 0 doubled, 0 out of order; at most {max(welcomes) - 1} reconnects a client"
    )
    await people.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    servers = Servers(fsync=True)
    try:
        servers.start()
        world = start_real(servers)
        assert world.stack is not None and world.model is not None
        try:
            asyncio.run(roll(world, servers.postgres.url, times))
        finally:
            world.stack.stop()
            world.model.child.stop()
    finally:
        servers.stop()
    sys.exit(0)


if __name__ == "__main__":
    main()
