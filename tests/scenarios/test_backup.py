"""A backup under load, brought back: what was committed before it is there, and everybody is signed in still."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from parley_client import Client
from stack.parley import Role
from tests.world import People, World, start_embedded, stop_embedded


async def act(role: Role, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(role.run, *words)


@pytest.mark.long
async def test_a_backup_under_load_brings_everything_back_and_clients_begin_anew() -> None:
    world = start_embedded()
    assert world.role is not None
    folder = Path(tempfile.mkdtemp(prefix="parley-b-", dir="/tmp"))
    people, file = People(world), folder / "kept.tar.gz"
    restored: Role | None = None
    try:
        anna, ben = await people.make(), await people.make()
        chat_id = await people.group(anna, ben)
        client = await anna.client()
        ends: list[asyncio.Future[Any]] = []

        async def talk() -> None:
            while True:
                ends.append(client.send(chat_id, f"{len(ends)} words"))
                await asyncio.sleep(0.005)

        talking = asyncio.create_task(talk())
        await asyncio.sleep(1)
        before = client.chats[chat_id].cursor or 0
        done = await act(world.role, "backup", str(file))
        assert done.returncode == 0 and "holds the database and the secret" in done.stdout, done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(list(folder.iterdir())) == 1
        await asyncio.sleep(0.3)
        talking.cancel()
        await asyncio.gather(*ends)
        token, epoch = anna.rest.access_token, client.welcome["epoch"]
        refused = await act(world.role, "restore", str(file))
        assert refused.returncode == 2 and "in use by another process" in refused.stderr
        world.role.child.stop()
        refused = await act(world.role, "restore", str(file))
        assert refused.returncode == 2 and "move that away first" in refused.stderr
        restored = Role("restored", "all", world.role.child.environment | {"DATA_DIR": str(folder / "data")}, folder)
        for wrong in (__file__, str(folder / "nothing")):
            refused = await act(restored, "restore", wrong)
            assert refused.returncode == 2 and refused.stderr.startswith("parley: "), refused.stderr
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "parley.db-wal").write_bytes(b"of a database that was there before")
        refused = await act(restored, "restore", str(file))
        assert refused.returncode == 2 and "parley.db-wal" in refused.stderr
        (folder / "data" / "parley.db-wal").unlink()
        done = await act(restored, "restore", str(file))
        assert done.returncode == 0, done.stderr
        restored.start()
        anna.rest.http.base_url, anna.rest.url = restored.url, restored.url
        me = await anna.rest.call("GET", "/v1/me", signed=False, headers={"Authorization": f"Bearer {token}"})
        assert me.status_code == 200, "the secret came with it"
        chat = await anna.rest.get(f"/v1/chats/{chat_id}")
        assert before <= chat["head"] <= 1 + len(ends)
        page = await anna.rest.get(f"/v1/chats/{chat_id}/messages", limit=1)
        assert page["items"][0]["seq"] == chat["head"]
        again = Client(anna.rest, urls=[restored.url])
        await again.start()
        assert again.welcome["epoch"] != epoch
        await again.close()
    finally:
        await people.close()
        if restored is not None:
            restored.child.stop()
        stop_embedded(world)


async def test_a_database_on_a_server_is_backed_up_by_its_own_means(real: World) -> None:
    assert real.stack is not None
    for act_ in ("backup", "restore"):
        done = await act(real.stack.roles[0], act_, "/tmp/never")
        assert done.returncode == 2 and "pg_dump" in done.stderr
    assert not Path("/tmp/never").exists()
