"""What the command line does, each with the settings read and the process's exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, Any

import uvloop

from app.adapters.imports.mattermost import Mattermost
from app.adapters.imports.slack import Slack
from app.adapters.imports.tables import Tables
from app.adapters.policy.cedar import CedarPolicies, PolicyError
from app.adapters.store.accounts import SqlAccounts
from app.adapters.store.codes import SqlCodes
from app.adapters.store.database import Database
from app.adapters.store.decisions import SqlDecisions
from app.adapters.store.identities import SqlIdentities
from app.adapters.store.migrate import (
    LanesInUse,
    Pooled,
    ShardsDiffer,
    change_epoch,
    change_lanes,
    change_shards,
    migrate,
)
from app.adapters.store.word_index import SqlWordIndex
from app.application.decisions import Decision
from app.application.identity import clean_username
from app.application.ports.errors import Transient
from app.application.ports.origin import BadExport, Origin
from app.application.ports.people import Account
from app.application.recovery import password_link
from app.domain.errors import ParleyError
from app.domain.policy import Answer
from app.domain.text import rfc3339
from app.domain.values import UserKind
from app.infrastructure import backup, check, telemetry, wiring
from app.infrastructure.issuers import issuers
from app.infrastructure.roles import process
from app.infrastructure.settings import Settings, SettingsError, check_world, load_settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(work)
    except (SettingsError, ShardsDiffer) as error:
        print(f"parley: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Pooled:
        print(f"parley: {check.POOLED}", file=sys.stderr)
        raise SystemExit(2) from None
    except Transient as error:
        reason = check.advice(error) or f"the database can't be reached ({error})"
        print(f"parley: {reason}: `python -m app check` says more", file=sys.stderr)
        raise SystemExit(1) from None
    except process.Died as error:
        print(f"parley: {error} died, see the log", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        if (words := check.advice(error)) is None:
            raise  # a defect: where it was helps
        print(f"parley: {words}: `python -m app check` says more", file=sys.stderr)
        raise SystemExit(2) from None


def _settings() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"parley: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    telemetry.configure_logs(settings.log_level)
    return settings


def _database(settings: Settings) -> Database:
    """For what must not be done beside a running process."""
    _lock(settings)
    return wiring.make_database(settings)


_locks: list[IO[str]] = []
"""Held until the process ends."""


def _lock(settings: Settings) -> None:
    if settings.embedded:
        _locks.append(wiring.lock_data_dir(settings.data_dir))


def serve(settings: Settings, role: str) -> None:
    telemetry.configure_logs(settings.log_level)
    _run(process.serve(settings, role))


def migrate_schema() -> None:
    settings = _settings()

    async def work() -> None:
        check_world(settings, "migrate")
        database = _database(settings)
        await migrate(database, settings.command_shards, lanes=settings.command_lanes)
        await database.close()

    _run(work())


def lay_out_shards(number: int) -> None:
    settings = _settings()

    async def work() -> None:
        database = _database(settings)
        await change_shards(database, number)
        await database.close()
        print(f"laid out for {number} shards: start everything with COMMAND_SHARDS={number}")

    _run(work())


def lay_out_lanes(number: int) -> None:
    settings = _settings()

    async def work() -> None:
        if settings.embedded:
            raise SettingsError("one process has no queues, and no lanes")
        database = _database(settings)
        try:
            await change_lanes(database, number)
        except (LanesInUse, ValueError) as error:
            raise SettingsError(str(error)) from None
        finally:
            await database.close()
        print(f"laid out for {number} lanes: start everything again")

    _run(work())


def begin_epoch() -> None:
    settings = _settings()

    async def work() -> None:
        database = _database(settings)
        await change_epoch(database)
        await database.close()

    _run(work())


def rebuild_index() -> None:
    settings = _settings()

    async def work() -> None:
        database = _database(settings)
        await SqlWordIndex(database).rebuild()
        await database.close()
        print("the words of all messages are indexed anew as soon as a worker runs; search goes on meanwhile")

    _run(work())


def make_backup(file: Path) -> None:
    settings = _settings()

    async def work() -> None:
        print(await asyncio.to_thread(backup.backup, settings, file))

    _run(work())


def restore_backup(file: Path) -> None:
    settings = _settings()

    async def work() -> None:
        _lock(settings)
        print(await backup.restore(settings, file))

    _run(work())


def check_all(as_json: bool) -> None:
    settings = _settings()

    async def work() -> None:
        good = True
        async for found in check.check(settings):
            good = good and found.good
            if as_json:
                print(json.dumps(asdict(found)), flush=True)
            else:
                print(f"{'ok  ' if found.good else 'BAD '} {found.name}: {found.finding}", flush=True)
        if not good:
            raise SystemExit(1)

    _run(work())


_AT_ONCE = 2_000


def _decided_by(folder: Path, decided: Sequence[Decision]) -> list[Answer]:
    """By the policies of this folder, on all cores where there are many."""
    parts = [
        [(one.action, one.facts) for one in decided[start : start + _AT_ONCE]]
        for start in range(0, len(decided), _AT_ONCE)
    ]
    if len(parts) < 2:
        return [answer for part in parts for answer in _decide_part(folder, part)]
    with ProcessPoolExecutor() as pool:
        return [answer for answers in pool.map(_decide_part, [folder] * len(parts), parts) for answer in answers]


def _decide_part(folder: Path, part: list[tuple[str, dict[str, Any]]]) -> list[Answer]:
    return _read_once(folder).decide_all(part)


_read_once = cache(CedarPolicies)


def compare_policies(folder: Path, last: int, accept: bool) -> None:
    settings = _settings()

    async def work() -> None:
        try:
            CedarPolicies(folder)
        except (PolicyError, OSError) as error:
            raise SettingsError(str(error)) from None
        database = wiring.make_database(settings)  # also while the service runs
        try:
            decided = await SqlDecisions(database).last(last)
        finally:
            await database.close()
        wider = narrower = other = 0
        for one, after in zip(decided, _decided_by(folder, decided), strict=True):
            if (after.allowed, after.policies) == (one.allowed, one.policies):
                continue
            if after.allowed == one.allowed:
                other += 1
                continue
            wider, narrower = wider + after.allowed, narrower + one.allowed
            words = "allowed, was refused" if after.allowed else "refused, was allowed"
            chat_id, actor_id, id_ = one.command
            print(
                f"{words}: {one.action} ({one.count} times); newest: {one.type} {id_} of {actor_id} in {chat_id}"
                f" at {rfc3339(one.at)}; before by {', '.join(one.policies)}, now by {', '.join(after.policies)}"
            )
        print(
            f"{len(decided)} questions of late: {wider} would be allowed that were refused, {narrower} refused that were allowed,"
            f" {other} the same by other policies"
        )
        if wider and not accept:
            raise SystemExit(1)

    _run(work())


_ORIGINS: dict[str, Callable[[Path], Origin]] = {"csv": Tables, "mattermost": Mattermost, "slack": Slack}


def bring(format_: str, path: Path, by: str) -> None:
    settings = _settings()

    async def work() -> None:
        database = _database(settings)  # on PostgreSQL also while the service runs
        try:
            await migrate(database, settings.command_shards, lanes=settings.command_lanes)
            operator = await SqlAccounts(database).by_name(by.lower())
            if operator is None or operator.role != "operator":
                raise SettingsError(f"{by} is no operator")
            importing = wiring.make_importing(settings, database, operator.id)
            brought = await importing.bring(_ORIGINS[format_](path), lambda words: print(words, flush=True))
        except BadExport as error:
            raise SettingsError(str(error)) from None
        finally:
            await database.close()
        print(
            f"done: {brought.people} people, {brought.chats} chats and {brought.messages} messages brought;"
            f" {brought.there} were there; {brought.left} left out"
        )
        for why, first in brought.left_out.items():
            print(f"left out: {why} (first: {first})")

    _run(work())


def bind_subject(name: str, issuer: str, subject: str) -> None:
    settings = _settings()

    async def work() -> None:
        known = {one.id: one for one in issuers(settings)}
        if issuer not in known or known[issuer].host:
            raise SettingsError(f"ISSUERS names no {issuer}, or it is the host, whose subjects are external ids")
        database = wiring.make_database(settings)  # also while the service runs
        try:
            account = await SqlAccounts(database).by_name(name.lower())
            if account is None or account.kind != UserKind.HUMAN:
                raise SettingsError(f"no person is called {name}")
            bound = await SqlIdentities(database).bind(known[issuer].issuer, subject, account.id)
        finally:
            await database.close()
        if bound != account.id:
            raise SettingsError(f"{subject} of {issuer} is somebody else already, and stays so")
        print(f"{subject} of {issuer} is {account.username}")

    _run(work())


def link_password(name: str) -> None:
    settings = _settings()

    async def work() -> None:
        database = wiring.make_database(settings)  # also while the service runs
        accounts = SqlAccounts(database)
        try:
            account = await accounts.by_name(name.lower())
            if account is None:
                raise SettingsError(f"no person is called {name}")
            link, until = await _password_link(settings, database, account)
        except ParleyError as error:
            raise SettingsError(f"{name}: {error.reason}") from None
        finally:
            await database.close()
        print(f"{link}\ngood once, until {rfc3339(until)}")

    _run(work())


async def _password_link(settings: Settings, database: Database, account: Account) -> tuple[str, datetime]:
    """Raises ParleyError."""
    url = settings.public_url or f"http://{settings.host}:{settings.port}"
    return await password_link(SqlCodes(database), SqlAccounts(database), account, None, url.rstrip("/"))


def make_operator(name: str, make: bool) -> None:
    settings = _settings()

    async def work() -> None:
        database = wiring.make_database(settings)  # also while the service runs: it reads roles anew
        accounts, said = SqlAccounts(database), ""
        account = await accounts.by_name(name.lower())
        if account is None and make:
            try:
                new = Account(wiring.new_id(), clean_username(name), name, UserKind.HUMAN, "user", {})
            except ParleyError as error:
                raise SettingsError(error.reason) from None
            await accounts.create(new)
            account = await accounts.by_name(new.username)
            assert account is not None
            link, until = await _password_link(settings, database, account)
            said = f"; sets a password here, once, until {rfc3339(until)}:\n{link}"
        if account is not None and account.kind == UserKind.HUMAN and account.role != "operator":
            await accounts.administer(None, account.id, None, "operator")
        await database.close()
        if account is None or account.kind != UserKind.HUMAN:
            raise SettingsError(f"no person is called {name}: register first, or say --make")
        print(f"{account.username} is an operator now{said}")

    _run(work())
