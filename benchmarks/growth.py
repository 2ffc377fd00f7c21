"""python -m benchmarks.growth: what grows with the service, and what doesn't. Five minutes; needs three gigabytes.

What a message costs with 20 chats and with 20,000, in a chat of a thousand messages and of a million; what a delivery costs in
a chat of 10, 100 and 1,000; two gateways and workers beside one of each; what idle sockets cost. Processor time is that of all
our processes, servers included, in one run on one machine: compare within a row.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import asyncpg

from benchmarks.__main__ import Figures, Watch, cpu_us, load
from benchmarks.contenders import Parley, Places, fetch, parley, settle
from stack.servers import Servers

PEOPLE, MEMBERS, FEW, MANY = 200, 10, 20, 20_000
DEEP = 1_000_000
_CHATS = (
    "with new as (insert into chats (id, kind, title, archived, created_at, created_by, head, members_count, last_at)"
    " select gen_random_uuid(), 'group', 'W', false, now(), $1::uuid, 1, $3, now() from generate_series(1, $2) returning id)"
    " select array_agg(id) from new"
)
_MEMBERS = (
    "insert into members (chat_id, user_id, role, joined_at, joined_seq)"
    " select c.id, ($2::uuid[])[1 + (c.n - 1 + 20 * k) % $3], 'member', now(), 1"
    " from unnest($1::uuid[]) with ordinality as c(id, n), generate_series(0, $4 - 1) k"
)


def in_many_chats(of: Parley, count: int) -> Places:
    """People who share so many chats, ten in each, each person in as many as the others."""
    places = of.places(PEOPLE // MEMBERS, MEMBERS)

    async def go() -> None:
        driver = await asyncpg.connect(of.database, statement_cache_size=0)
        people = [place["user_id"] for place in places]
        ids = [str(one) for one in await driver.fetchval(_CHATS, people[0], count, MEMBERS, timeout=300)]
        await driver.execute(_MEMBERS, ids, people, PEOPLE, MEMBERS, timeout=300)
        await driver.execute("analyze", timeout=300)
        await driver.close()
        for n, place in enumerate(places):
            place["chat_ids"] = ids[n % 20 :: 20]
            place["chat_id"] = place["chat_ids"][0]

    asyncio.run(go())
    return places


def send(of: Parley, places: Places, rate: float, members: int = MEMBERS, seconds: float = 10, **more: Any) -> Figures:
    servers = of._servers
    spec = {"kind": "parley", "do": "send", "sockets": places, "members": members, "rate": rate, "seconds": seconds}
    load(spec | more | {"seconds": 2}, servers.folder)
    watch = Watch(of.pids, list(of.pids.values()))
    found = load(spec | more, servers.folder, watch.again)
    if found["lost"] or found["doubled"] or found["errors"]:
        raise SystemExit(f"{found}")
    return found | watch.told(found["sent"])


def told(what: str, found: Figures, per: int = 1) -> None:
    by = ", ".join(
        f"{name.removeprefix('cpu_us_')} {value / per:,.0f}"
        for name, value in found.items()
        if name.startswith("cpu_us_")
    )
    print(
        f"  {what}: {found['cpu_us'] / per:,.0f} µs ({by}); p50 {found['p50_ms']:.1f}, p99 {found['p99_ms']:.1f} ms",
        flush=True,
    )


def chats(servers: Servers) -> None:
    print("a message at 1,000 a second, in turn over all chats", flush=True)
    for count in (FEW, MANY):
        with parley(servers) as of:
            told(f"{count:,} chats", send(of, in_many_chats(of, count), 1_000))


def messages(servers: Servers) -> None:
    print("a message at 200 a second in one chat, and its newest page", flush=True)
    for count in (1_000, DEEP):
        with parley(servers) as of:
            places = of.places(1, MEMBERS)
            pages = of.said(places, count)
            fetch(of.database, "vacuum messages, chats")  # else it does so by itself meanwhile
            settle()
            told(f"{count:,} messages", send(of, places, 200))
            spec = {
                "kind": "parley",
                "do": "history",
                "sockets": [],
                "pages": pages,
                "page_of": 50,
                "clients": 16,
                "seconds": 4.0,
            }
            print(f"    the page: {load(spec, servers.folder)['rate']:,.0f} a second", flush=True)


def sizes(servers: Servers) -> None:
    print("a delivery, of one sender's messages to a chat", flush=True)
    for members, rate in ((10, 100), (100, 100), (1_000, 40)):
        with parley(servers) as of:
            found = send(of, of.places(1, members), rate, members, senders=1)
            told(f"of {members:,}, {rate} a second", found, members)


def wide(servers: Servers) -> None:
    print("a message at 1,000 a second, 20 chats of 10", flush=True)
    for count in (1, 2):
        with parley(servers, count, count) as of:
            told(f"{count} gateways, {count} workers", send(of, of.places(PEOPLE // MEMBERS, MEMBERS), 1_000))


def idle(servers: Servers) -> None:
    print("what a gateway uses with nothing to do", flush=True)
    with parley(servers) as of:
        pid = of.pids["gateway0"]

        def used() -> float:
            before = cpu_us([pid])
            time.sleep(10)
            return (cpu_us([pid]) - before) / 10_000

        time.sleep(5)
        print(f"  no sockets: {used():.1f} ms a second", flush=True)
        places, found = of.places(200, 10), list[float]()

        def joined() -> None:
            time.sleep(5)
            found.append(used())

        load({"kind": "parley", "do": "join", "sockets": places, "stay_s": 16}, servers.folder, joined)
        print(f"  2,000 sockets: {found[0]:.1f} ms a second, their heartbeats included", flush=True)


def main() -> None:
    servers = Servers(fsync=True)
    try:
        servers.start()
        for part in (chats, messages, sizes, wide, idle):
            part(servers)
            settle()
    finally:
        servers.stop()
    print(json.dumps({"ended": True}))


if __name__ == "__main__":
    main()
