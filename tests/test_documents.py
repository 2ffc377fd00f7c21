"""What is written beside the code says what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from typing import Any

import httpx2

from app.adapters.wire.problems import status_of
from app.application.ports.socket import Close
from app.domain.errors import CODES
from app.infrastructure.settings import Settings
from benchmarks.table import table
from stack.pace import paced
from stack.parley import ROOT
from tests.world import World, new_id

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_env_example_has_every_setting_with_its_default() -> None:
    found = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert found == {name.upper(): str(field.default) for name, field in Settings.model_fields.items()}


def test_the_protocol_names_every_code_and_close_code() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    for code in CODES:
        assert f"`{code}`" in text, code
        assert str(status_of(code)) in text
    for name, number in vars(Close).items():
        if not name.startswith("_"):
            assert str(number) in text, name


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_make_targets_and_files_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = document.read_text()
        assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets, document.name
        for path in re.findall(
            r"`((?:app|tests|policies|stack|benchmarks|parley_client|examples|docs)/[\w./-]+\.\w+)`", text
        ):
            assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_readme_client_runs(world: World) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [client] = [block for block in blocks if "Client(" in block]
    assert len([line for line in client.splitlines() if line.strip()]) <= 20
    done = subprocess.run(
        [sys.executable, "-"],
        cwd=ROOT,
        input=client.replace("http://127.0.0.1:8000", world.urls[0]),
        capture_output=True,
        text=True,
        timeout=paced(60),
    )
    assert done.returncode == 0, done.stderr
    assert "Ben: hello" in done.stdout and "assistant:" in done.stdout.lower()


def test_sample_requests_answer_what_they_say(world: World) -> None:
    """The file is in the format of editors' REST clients: `###` between requests, `{{name.response.body.field}}` in them."""
    known: dict[str, str] = {"ann": f"ann-{new_id()[-8:]}", "ben": f"ben-{new_id()[-8:]}", "host": world.urls[0]}

    def filled(text: str) -> str:
        return re.sub(r"{{([\w.]+)}}", lambda found: known[found.group(1)], text)

    requests = re.split(r"^###.*\n", (ROOT / "docs" / "requests.http").read_text(), flags=re.MULTILINE)[1:]
    assert len(requests) > 20
    with httpx2.Client() as http:
        for request in requests:
            head, _, body = request.partition("\n\n")
            notes = dict(re.findall(r"^# @?(name|status) (.+)$", head, re.MULTILINE))
            [line, *headers] = [line for line in filled(head).splitlines() if not line.startswith("#")]
            method, url = line.split(" ", 1)
            answer = http.request(
                method, url, headers=dict(h.split(": ", 1) for h in headers), content=filled(body).strip().encode()
            )
            assert answer.status_code == int(notes["status"]), (line, answer.text)
            if "name" in notes:
                known |= flat(f"{notes['name']}.response.body", answer.json())


def flat(path: str, value: Any) -> dict[str, str]:
    """{"a": {"b": 1}} as {"path.a.b": "1"}."""
    if isinstance(value, dict):
        return {key: text for name, inner in value.items() for key, text in flat(f"{path}.{name}", inner).items()}
    return {path: str(value)}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    named = [
        re.split(r"[\[><=]", d)[0]
        for d in [*project["project"]["dependencies"], *(one for group in groups.values() for one in group)]
    ]
    reasons = (ROOT / "docs" / "dependencies.md").read_text().split("## To run")[1].split("## Of npm")[0]
    page = json.loads((ROOT / "web" / "package.json").read_text())
    npm = (ROOT / "docs" / "dependencies.md").read_text().split("## Of npm")[1]
    given = {name for name in [*page["dependencies"], *page["devDependencies"]] if not name.startswith("@types/")}
    assert given == set(re.findall(r"`(@?[\w/.-]+)`", npm.partition("|---|---|---|")[2])) - {"@types/*"}
    assert set(re.findall(r"`([\w-]+)`", reasons)) == set(named)


def test_functions_that_documents_name_exist() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    named = [
        found
        for document in DOCUMENTS
        for found in re.findall(r"`([A-Z]\w+)\.(_?[a-z]\w+)`", document.read_text())
        if found[1] != "md"
    ]
    assert len(named) > 15
    for class_, function in named:
        assert re.search(rf"^class {class_}\b", code, re.MULTILINE), class_
        assert re.search(rf"def {function}\(", code), function


def test_figures_are_those_of_the_last_benchmark() -> None:
    result = json.loads((ROOT / "benchmarks" / "result.json").read_text())
    text = (ROOT / "README.md").read_text()
    for server in ("parley", "socketio", "tutorial"):
        assert f"{result['w1'][server]['rate']:,.0f}" in text, server
    for server in ("parley", "socketio"):
        assert (
            f"{result['w0_alone'][server]['p50_ms']:.1f} ms" in text and f"{result['w4'][server]['rate']:,.0f}" in text
        )
        assert all(f"{result[name][server]['seconds']:.1f} s" in text for name in ("w2_join", "w5")), server
    assert table() in (ROOT / "docs" / "performance.md").read_text(), "python -m benchmarks.table"
