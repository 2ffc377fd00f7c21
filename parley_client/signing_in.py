"""Signing in at a terminal; and staying so by choice, in a file that its user alone may read."""

from __future__ import annotations

import json
import os
from pathlib import Path

from prompt_toolkit import PromptSession, print_formatted_text

from parley_client.directory import LOST
from parley_client.rest import Problem, Rest, SignedOut


class StaySignedIn:
    """Refresh tokens by service, in $XDG_STATE_HOME/parley/signed_in.json (~/.local/state where that isn't set), 0600."""

    def __init__(self, url: str) -> None:
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self._file = Path(state) / "parley" / "signed_in.json"
        self._url = url

    def token(self) -> str | None:
        kept = self._all().get(self._url)
        return kept if isinstance(kept, str) else None

    def keep(self, token: str | None) -> None:
        """Each one takes the place of the one before; None forgets it."""
        kept = self._all()
        kept.pop(self._url, None)
        if token is not None:
            kept[self._url] = token
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self._file.with_suffix(".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(kept, file)
        beside.replace(self._file)

    def _all(self) -> dict[str, object]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


async def come_back(rest: Rest, stay: StaySignedIn) -> bool:
    """With what was kept; whether it was good still. From here on each new token is kept. Raises httpx2's errors."""
    rest.on_tokens = stay.keep
    rest.refresh_token = stay.token()
    if rest.refresh_token is None:
        return False
    try:
        await rest.refresh()
    except SignedOut:
        rest.refresh_token = None
        stay.keep(None)
        return False
    return True


async def _asked(prompt: str, secret: bool = False) -> str:
    """A session of its own for each question: no password is left in a history."""
    return await PromptSession[str]().prompt_async(prompt, is_password=secret)


async def sign_in(rest: Rest) -> None:
    """Name and password; a name that is new is registered."""
    while True:
        name = (await _asked("username: ")).strip()
        password = await _asked("password: ", secret=True)
        try:
            try:
                await rest.sign_in(name, password)
                return
            except Problem as error:
                if error.code != "invalid_grant":
                    raise
            print_formatted_text("  Wrong password, or nobody has this name.")
            answer = await _asked(f"  Register {name}? [y/N] ")
            if answer.strip().lower() != "y":
                continue
            if await _asked("the same password again: ", secret=True) != password:
                print_formatted_text("  That was another one.")
                continue
            await rest.register(name, password)
            return
        except Problem as error:
            print_formatted_text(f"  {str(error.args[2] or error.code).removeprefix('body.')}")
        except LOST:
            print_formatted_text("  the service can't be reached just now")
