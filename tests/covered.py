"""python -m tests.covered: branch coverage over unit, contract and scenario tests, file by file.

The processes that scenarios start measure themselves (COVERAGE_PROCESS_START). Fault runs are not measured: who is killed
tells nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    hook = Path(sysconfig.get_paths()["purelib"]) / "parley_coverage.pth"
    hook.write_text("import coverage; coverage.process_startup()\n")
    try:
        with tempfile.TemporaryDirectory(prefix="parley-cov-") as folder:
            environment = os.environ | {
                "COVERAGE_PROCESS_START": str(ROOT / "pyproject.toml"),
                "COVERAGE_FILE": f"{folder}/data",
            }
            tests = ["-m", "pytest", "-n", "2", "tests/unit", "tests/contracts", "tests/scenarios"]
            done = subprocess.run([sys.executable, *tests], cwd=ROOT, env=environment)
            for command in (["combine", "-q"], ["report", "--skip-covered", "--sort=cover"]):
                subprocess.run([sys.executable, "-m", "coverage", *command], cwd=ROOT, env=environment)
    finally:
        hook.unlink()
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
