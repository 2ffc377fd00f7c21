from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from stack.servers import Servers
from tests.halves import LONG, is_long
from tests.issuer import Issuer
from tests.world import People, World, start_embedded, start_real, stop_embedded

TESTS = Path(__file__).parent

settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    report_multiple_bugs=False,
)
"""`make mutants`: the same examples for each mutant, and no search for a smaller one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` goes two lanes side by side, each with servers of its own: what ends them, and the rest; who is through
    first takes the browser's tests that need no servers."""
    found: dict[tuple[str, str], list[bool]] = {}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(lane(item)))
        case = getattr(item, "callspec", None)
        path = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
        name = getattr(item, "originalname", item.name)
        if case is not None and path in LONG and name in LONG[path]:
            found.setdefault((path, name), []).append(is_long(path, name, case.id))
            if found[path, name][-1]:
                item.add_marker(pytest.mark.long)
    whole = all(Path(given).is_dir() and TESTS.is_relative_to(Path(given).resolve()) for given in config.args)
    wrong = [f"{path} {name}" for path in LONG for name in LONG[path] if len({*found.get((path, name), ())}) != 2]
    if whole and wrong:
        raise pytest.UsageError(f"tests/halves.py: no half of these is left, or none is long: {', '.join(wrong)}")


def lane(item: pytest.Item) -> str:
    if "faults" in item.path.parts:
        return "faults"
    needs_servers = {"world", "real"} & set(getattr(item, "fixturenames", ()))
    return "web" if "web" in item.path.parts and not needs_servers else "rest"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL, Redis and RabbitMQ, really run; fsync off, for these tests are about behaviour."""
    servers = Servers(fsync=False)
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Who vouches for people in both worlds, beside a host with a shared secret."""
    made = Issuer()
    yield made
    made.close()


@pytest.fixture(scope="session")
def embedded(issuer: Issuer) -> Iterator[World]:
    world = start_embedded({"LOG_LEVEL": "debug", "ISSUERS": issuer.settings})
    world.issuer = issuer
    yield world
    stop_embedded(world)


@pytest.fixture(scope="session")
def real(servers: Servers, issuer: Issuer) -> Iterator[World]:
    environment = {"LOG_LEVEL": "debug", "ASSISTANT_SUMMARIES": "on", "ISSUERS": issuer.settings}
    world = start_real(servers, environment=environment)
    world.issuer = issuer
    yield world
    assert world.stack is not None and world.model is not None
    world.stack.stop()
    world.model.child.stop()


@pytest.fixture(params=["embedded", "real"])
def world(request: pytest.FixtureRequest) -> World:
    """Each of the two worlds."""
    found: World = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def people(world: World) -> AsyncIterator[People]:
    people = People(world)
    yield people
    await people.close()
