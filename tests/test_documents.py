"""What is written beside the code says what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from app.domain.errors import CODES, Close
from app.infrastructure.settings import Settings
from stack.parley import ROOT
from tests.world import World

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_env_example_has_every_setting_with_its_default() -> None:
    found = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert found == {name.upper(): str(field.default) for name, field in Settings.model_fields.items()}


def test_the_protocol_names_every_code_and_close_code() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text()
    for code, info in CODES.items():
        assert f"`{code}`" in text, code
        assert str(info.http) in text
    for name, number in vars(Close).items():
        if not name.startswith("_"):
            assert str(number) in text, name


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_make_targets_and_files_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = document.read_text()
        assert set(re.findall(r"`make ([a-z]+)", text)) <= targets, document.name
        for path in re.findall(r"`((?:app|tests|policies|stack|benchmarks|parley_client|docs)/[\w./-]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_the_readme_client_runs(world: World, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    [client] = [block for block in blocks if "Client(" in block]
    assert len([line for line in client.splitlines() if line.strip()]) <= 20
    script = tmp_path / "client.py"
    script.write_text(client.replace("http://127.0.0.1:8000", world.urls[0]))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert "Ben: hello" in done.stdout and "assistant:" in done.stdout.lower()


def test_figures_in_the_readme_are_those_of_the_last_benchmark() -> None:
    w1 = json.loads((ROOT / "benchmarks" / "result.json").read_text())["w1"]
    text = (ROOT / "README.md").read_text()
    for name in ("parley_msg_per_s", "tutorial_msg_per_s"):
        assert f"{w1[name]:,}" in text, name
    assert f"{w1['ratio']}" in text and f"{w1['p99_ms']}" in text
