"""The import as an operator runs it: killed in the middle, done again, and read by its people."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parley_client import Rest
from stack.pace import paced
from stack.parley import ROOT
from tests.contracts.test_importing import tables
from tests.scenarios.test_getting_in import code_in, reset
from tests.world import start_embedded, stop_embedded

PEOPLE, CHATS, MESSAGES = 1_000, 100, 20
NEW = "another horse battery"


@pytest.mark.long
async def test_an_import_that_is_killed_goes_on_and_its_people_read_it(tmp_path: Path) -> None:
    tables(tmp_path / "export", PEOPLE, CHATS, MESSAGES)
    (tmp_path / "service").mkdir()
    world = start_embedded(folder=tmp_path / "service")
    assert world.role is not None
    role = world.role
    role.run("operator", "root", "--make")
    command = [sys.executable, "-m", "app", "import", "csv", str(tmp_path / "export"), "--as", "root"]
    beside = subprocess.run(command, cwd=ROOT, env=role.child.environment, capture_output=True, text=True)
    assert beside.returncode == 2 and "in use" in beside.stderr, "not beside the embedded process"
    role.child.stop()

    killed = subprocess.Popen(command, cwd=ROOT, env=role.child.environment, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    began = time.monotonic()
    for line in killed.stdout:
        if line.startswith(f"chat {CHATS // 3} "):
            break
        assert time.monotonic() - began < paced(120)
    killed.kill()
    killed.wait()
    for expected in (True, False):
        done = subprocess.run(command, cwd=ROOT, env=role.child.environment, capture_output=True, text=True)
        last = done.stdout.strip().splitlines()[-1]
        assert done.returncode == 0 and last.startswith("done: ") and "0 left out" in last, done.stdout + done.stderr
        assert ("0 people, 0 chats and 0 messages brought" not in last) is expected, last

    role.start()
    link = await asyncio.to_thread(role.run, "password-link", "person.7")
    rest = Rest(world.urls[0])
    await reset(rest, code_in(link.stdout.splitlines()[0]), NEW)
    await rest.sign_in("person.7", NEW)
    chats = (await rest.get("/v1/chats"))["items"]
    assert chats and all(chat["unread"] == 0 and chat["head"] == MESSAGES + 1 for chat in chats)
    page = await rest.get(f"/v1/chats/{chats[0]['id']}/messages", limit=100)
    assert [one["seq"] for one in page["items"]] == list(range(MESSAGES + 1, 1, -1))
    assert page["items"][-1]["created_at"] == "2021-03-04T05:06:07.000Z"
    await rest.close()
    stop_embedded(world)
    shutil.rmtree(tmp_path / "service", ignore_errors=True)
