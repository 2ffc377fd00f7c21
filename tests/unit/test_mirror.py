"""tests/unit mirrors app: what has no test of its own here is named, with where it is tried instead."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
APP, UNIT = ROOT / "app", ROOT / "tests" / "unit"

ELSEWHERE = {
    "adapters/assistant": "tests/contracts/test_models.py",
    "adapters/broker/in_process.py": "tests/contracts/test_command_bus.py",
    "adapters/broker/rabbitmq": "tests/contracts/test_command_bus.py",
    "adapters/fan_out": "tests/contracts/test_fan_out.py",
    "adapters/imports": "tests/contracts/test_importing.py",
    "adapters/limits/redis_shared.py": "tests/contracts/test_open_sockets_and_limits.py",
    "adapters/mail": "tests/scenarios/test_getting_in.py",
    "adapters/open_sockets": "tests/contracts/test_open_sockets_and_limits.py",
    "adapters/pages": "tests/scenarios/test_documents_served.py",
    "adapters/redis_connection.py": "tests/contracts/test_fan_out.py",
    "adapters/rest": "tests/scenarios",
    "adapters/store": "tests/contracts/test_store.py",
    "adapters/websocket/connection.py": "tests/scenarios/test_socket.py",
    "adapters/wire": "tests/unit/test_snapshots.py",
    "application/explain.py": "tests/scenarios/test_matrix.py",
    "application/answers.py": "tests/scenarios/test_providers.py",
    "application/assistants.py": "tests/scenarios/test_assistants.py",
    "application/bots.py": "tests/scenarios/test_keys.py",
    "application/importing.py": "tests/contracts/test_importing.py",
    "application/invitations.py": "tests/scenarios/test_getting_in.py",
    "application/keys.py": "tests/scenarios/test_keys.py",
    "application/recovery.py": "tests/scenarios/test_getting_in.py",
    "application/server.py": "tests/scenarios/test_server_api.py",
    "application/operators.py": "tests/scenarios/test_accounts.py",
    "application/ports": "tests/contracts",
    "infrastructure": "tests/test_deployment.py",
}
"""A file, or all of a folder that have no test of their own: words, forms, and what is tried only through a server."""

NO_BEHAVIOUR = {
    "application/clock.py": "the process's clock",
    "application/use_cases.py": "a record of the verbs",
    "domain/events.py": "records; what they mean is each subject's",
    "domain/scopes.py": "words",
    "domain/policy.py": "records; what is asked is in tests/unit/domain/test_fold.py",
    "domain/value.py": "how records are made; the type checker holds them frozen, tests/unit/test_guard.py what they cost",
    "domain/values.py": "records",
}


def sources() -> list[Path]:
    found = [path for path in APP.rglob("*.py") if not path.name.startswith("__") and "migrations" not in path.parts]
    return sorted(path.relative_to(APP) for path in found)


def has_test(source: Path) -> bool:
    return (UNIT / source.parent / f"test_{source.name}").exists()


def test_every_file_has_its_test_or_is_named() -> None:
    for source in sources():
        if has_test(source):
            continue
        named = {source.as_posix(), *(parent.as_posix() for parent in source.parents)}
        assert named & (ELSEWHERE.keys() | NO_BEHAVIOUR.keys()), f"tests/unit has nothing on app/{source}"


def test_every_test_is_of_a_file() -> None:
    for path in UNIT.rglob("test_*.py"):
        if path.parent != UNIT:
            source = APP / path.relative_to(UNIT).parent / path.name.removeprefix("test_")
            assert source.exists(), f"{path.relative_to(ROOT)} is of no file"


def test_no_name_on_the_lists_is_left_over() -> None:
    for name, where in ELSEWHERE.items():
        assert (ROOT / where).exists() and (APP / name).exists(), name
        assert any(not has_test(s) for s in sources() if s.is_relative_to(name)), f"{name} has a test of its own"
    for name in NO_BEHAVIOUR:
        assert (APP / name).exists() and not has_test(Path(name)), name
