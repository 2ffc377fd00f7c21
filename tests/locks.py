"""The lock files say what pyproject.toml asks for, and name no registry."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE))


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = project["project"]["dependencies"]
    groups = project["dependency-groups"]
    wanted = {
        "requirements.lock": runtime,
        "requirements-dev.lock": runtime + groups["dev"],
        "requirements-pages.lock": groups["pages"],
        "requirements-node.lock": groups["node"],
        "requirements-model.lock": groups["model"],
    }
    wrong = []
    for file, requirements in wanted.items():
        have = locked(file)
        for text in requirements:
            requirement = Requirement(text)
            version = have.get(requirement.name.lower())
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                wrong.append(f"{file}: {text} is locked as {version}: run `make lock`")
        if re.search(r"https?://", (ROOT / file).read_text()):
            wrong.append(f"{file} names a host")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
