"""python -m benchmarks.million [MESSAGES]: how long searches take in PostgreSQL beside a million messages of 220 chats, of which
the searcher is in 200; before and after the database has statistics. A minute; needs two gigabytes."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from app.application.authorize import Reader
from app.application.ports.history import Place, Search
from app.application.search import MessageSearch, words_of
from stack.servers import Servers
from tests.contracts.store_setting import PEP, SHARDS, Store

_MESSAGES = (
    "insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)"
    " select ($1::uuid[])[1 + n % 220], 10 + n / 220, gen_random_uuid(), $2, 'user', gen_random_uuid(),"
    " 'the message number ' || n || case when n % 100000 = 7 then ' needle' else '' end, 'complete',"
    " now() + n * interval '1 millisecond' from generate_series(1, $3::int) n"
)
_WORDS = (
    "insert into message_words (chat_id, message_id, words) select chat_id, id, string_to_array(body, ' ') from messages"
    " where seq > 5 on conflict do nothing"
)


async def measure(servers: Servers, count: int) -> None:
    database = Database(servers.postgres.database("million"))
    await migrate(database, SHARDS)
    store = Store(database)
    anna = await store.person()
    chats = [await store.group(anna) for _ in range(200)]
    others = [await store.group(await store.person()) for _ in range(20)]
    driver = await database.connect(bounded=False)
    await driver.execute("drop index ix_message_words_words")
    await driver.execute(_MESSAGES, [*chats, *others], anna, count)
    await driver.execute(_WORDS)
    await driver.execute("create index ix_message_words_words on message_words using gin (words)")
    await driver.execute("update chats set head = 11 + $1::int / 220", count)
    for table in ("messages", "message_words"):
        size = await driver.fetchval(f"select pg_total_relation_size('{table}')")
        print(f"{table}: {size / count:,.0f} bytes a message, indexes included")
    search = MessageSearch(Reader(PEP, store.history), PEP, store.history)

    async def ms(query: str, before: Place | None = None, **more: Any) -> tuple[float, Place | None, int]:
        began = time.perf_counter()
        page = await search.find(anna, Search(words_of(query), before=before, **more), 50)
        return (time.perf_counter() - began) * 1_000, page.goes_on, len(page.items)

    for statistics in ("no statistics", "right statistics"):
        if statistics == "right statistics":
            await driver.execute("analyze")
        for query in ("the", "message number", "needle", "the needle", "nowhere", str(count // 2)):
            everywhere = sorted([await ms(query) for _ in range(3)])[1]
            here, _, _ = await ms(query, chat_id=chats[0])
            print(
                f"{statistics}: {query!r}: {everywhere[0]:,.0f} ms ({everywhere[2]} found), in one chat {here:,.0f} ms"
            )
    place: Place | None = None
    for _ in range(6):
        took, place, _ = await ms("the", place)
    print(f"the sixth page of a common word: {took:,.0f} ms")
    await driver.close()
    await database.close()


def main() -> None:
    servers = Servers()
    servers.start()
    try:
        asyncio.run(measure(servers, int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
