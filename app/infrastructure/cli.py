"""The command line: one program, its roles, and an operator's few acts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import typer
import uvloop

from app.adapters.store.accounts import SqlAccounts
from app.adapters.store.migrate import ShardsDiffer, change_epoch, change_shards, migrate
from app.domain.chat import UserKind
from app.infrastructure import roles, telemetry, wiring
from app.infrastructure.check import check
from app.infrastructure.settings import Settings, SettingsError, check_world, load_settings

app = typer.Typer(add_completion=False, no_args_is_help=False, help="Parley: real-time chat for teams.")


def cli() -> None:
    app()


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(work)
    except (SettingsError, ShardsDiffer) as error:
        print(f"parley: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _settings() -> Settings:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"parley: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    telemetry.configure_logs(settings.log_level)
    return settings


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        all_()


@app.command("all")
def all_() -> None:
    """Everything in one process (the default)."""
    _run(roles.serve(_settings(), "all"))


@app.command()
def gateway() -> None:
    """Sockets and REST."""
    _run(roles.serve(_settings(), "gateway"))


@app.command()
def worker() -> None:
    """Decides commands."""
    _run(roles.serve(_settings(), "worker"))


@app.command()
def assistant() -> None:
    """Writes assistants' replies."""
    _run(roles.serve(_settings(), "assistant"))


@app.command("migrate")
def migrate_() -> None:
    """Bring the database's schema up to date, and end."""
    settings = _settings()

    async def work() -> None:
        check_world(settings, "migrate")
        database = _database(settings)
        await migrate(database, settings.command_shards)
        await database.close()

    _run(work())


@app.command()
def shards(number: int) -> None:
    """Change the number of shards. Stop all gateways and let the queues run empty first."""
    settings = _settings()

    async def work() -> None:
        database = _database(settings)
        await change_shards(database, number)
        await database.close()
        print(f"laid out for {number} shards: start everything with COMMAND_SHARDS={number}")

    _run(work())


@app.command()
def epoch() -> None:
    """A step of restoring a copied database: all clients load their chats anew."""
    settings = _settings()

    async def work() -> None:
        database = _database(settings)
        await change_epoch(database)
        await database.close()

    _run(work())


@app.command()
def chat(url: str = typer.Argument("http://127.0.0.1:8000")) -> None:
    """Talk in the terminal: with people and with the assistant."""
    from parley_client import terminal  # the prompt's library is for this command alone

    raise SystemExit(asyncio.run(terminal.chat(url.rstrip("/"))))


@app.command("check")
def check_() -> None:
    """Connect to everything that the settings name, and say in words what is wrong."""
    settings = _settings()

    async def work() -> None:
        if not await check(settings, print):
            raise SystemExit(1)

    _run(work())


@app.command()
def operator(name: str) -> None:
    """Make an operator of the person with this username."""
    settings = _settings()

    async def work() -> None:
        database = wiring.make_database(settings)  # also while the service runs: it reads roles anew
        accounts = SqlAccounts(database)
        account = await accounts.by_name(name.lower())
        if account is not None and account.kind == UserKind.HUMAN:
            await accounts.administer(None, account.id, None, "operator")
        await database.close()
        if account is None or account.kind != UserKind.HUMAN:
            raise SettingsError(f"no person is called {name}: register first")
        print(f"{account.username} is an operator now")

    _run(work())


def _database(settings: Settings) -> Any:
    if settings.embedded:
        wiring.lock_data_dir(settings.data_dir)
    return wiring.make_database(settings)
