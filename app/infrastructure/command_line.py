"""The command line: one program, its roles, and an operator's few acts.

What an act needs is imported by it: the terminal client needs none of the service, and starts at once.
"""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    help="Parley: real-time chat for teams.",
)


def cli() -> None:
    app()


def _serve(role: str) -> None:
    """What is wrong with the settings is told before all the rest is loaded."""
    from app.infrastructure.settings import SettingsError, check_world, load_settings

    try:
        settings = load_settings()
        check_world(settings, role)
    except SettingsError as error:
        print(f"parley: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    from app.infrastructure import command_line_acts as acts

    acts.serve(settings, role)


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        _serve("all")


@app.command("all")
def all_() -> None:
    """Everything in one process (the default)."""
    _serve("all")


@app.command()
def gateway() -> None:
    """Sockets and REST."""
    _serve("gateway")


@app.command()
def worker() -> None:
    """Decides commands."""
    _serve("worker")


@app.command()
def assistant() -> None:
    """Writes assistants' replies."""
    _serve("assistant")


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date, and end."""
    from app.infrastructure import command_line_acts as acts

    acts.migrate_schema()


@app.command()
def shards(number: int) -> None:
    """Change the number of shards. Stop gateways and assistant workers, let the queues run empty, stop the workers first."""
    from app.infrastructure import command_line_acts as acts

    acts.lay_out_shards(number)


@app.command()
def lanes(number: int) -> None:
    """Change how many queues carry the shards. Stop gateways and assistant workers, let the queues run empty, stop the workers first."""
    from app.infrastructure import command_line_acts as acts

    acts.lay_out_lanes(number)


@app.command()
def epoch() -> None:
    """A step of restoring a copied database: all clients load their chats anew."""
    from app.infrastructure import command_line_acts as acts

    acts.begin_epoch()


@app.command()
def reindex() -> None:
    """Have the words of all messages indexed anew, for search; workers do it beside their other work."""
    from app.infrastructure import command_line_acts as acts

    acts.rebuild_index()


@app.command()
def backup(file: Path) -> None:
    """Write the embedded world's database and secret to one file, also while it runs."""
    from app.infrastructure import command_line_acts as acts

    acts.make_backup(file)


@app.command()
def restore(file: Path) -> None:
    """Bring such a file into a DATA_DIR that holds nothing, with the process stopped."""
    from app.infrastructure import command_line_acts as acts

    acts.restore_backup(file)


@app.command()
def chat(
    url: str = typer.Argument("http://127.0.0.1:8000"),
    stay: Annotated[bool, typer.Option("--stay", help="stay signed in on this machine")] = False,
) -> None:
    """Talk in the terminal: with people and with the assistant."""
    from parley_client import terminal

    address = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
    raise SystemExit(asyncio.run(terminal.chat(address, stay)))


@app.command()
def check(json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False) -> None:
    """Do what Parley does with everything that the settings name, and say in words what is wrong."""
    from app.infrastructure import command_line_acts as acts

    acts.check_all(json)


policy = typer.Typer(help="What if the rules were others.")
app.add_typer(policy, name="policy")


@policy.callback()
def _policy() -> None:
    """What if the rules were others."""


@policy.command("diff")
def policy_diff(
    folder: Path,
    last: Annotated[int, typer.Option("--last", help="so many of the newest questions")] = 100_000,
    accept: Annotated[
        bool, typer.Option("--accept", help="also where something would be allowed that was refused")
    ] = False,
) -> None:
    """Ask what was decided of late again, by the policies of this folder; each difference, with its newest command."""
    from app.infrastructure import command_line_acts as acts

    acts.compare_policies(folder, last, accept)


class Format(StrEnum):
    """Of another service's export."""

    CSV = "csv"
    MATTERMOST = "mattermost"
    SLACK = "slack"


@app.command("import")
def import_(
    format_: Annotated[Format, typer.Argument(metavar="csv|mattermost|slack")],
    path: Path,
    by: Annotated[str, typer.Option("--as", help="username of the operator in whose name it is done")],
) -> None:
    """Bring a team's people and history from another service: docs/import.md. May be broken off, and done again."""
    from app.infrastructure import command_line_acts as acts

    acts.bring(format_.value, path, by)


@app.command()
def bind(name: str, issuer: str, subject: str) -> None:
    """Say that the person with this username is this subject of an issuer of ISSUERS (by its name there): for ever."""
    from app.infrastructure import command_line_acts as acts

    acts.bind_subject(name, issuer, subject)


@app.command("password-link")
def password_link(name: str) -> None:
    """Print a link by which the person with this username sets a new password: good once, for a day."""
    from app.infrastructure import command_line_acts as acts

    acts.link_password(name)


@app.command()
def operator(
    name: str,
    make: Annotated[bool, typer.Option("--make", help="make the account too, where nobody registers")] = False,
) -> None:
    """Make an operator of the person with this username."""
    from app.infrastructure import command_line_acts as acts

    acts.make_operator(name, make)
