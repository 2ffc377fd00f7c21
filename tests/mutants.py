"""python -m tests.mutants [--minutes 60] [--sample 600] [--seed parley] [--only PATTERN]: does a test fail for each small defect?

A sample, drawn with a seed, of all mutants of the core (pyproject.toml names its files) is tried against tests/unit, one after the other on each
core, within the time. What survives is listed, and docs/mutants.md says why what is known to survive may. Exit 1 below 90 %.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
KILLED, SURVIVED, NO_TEST = 1, 0, 33
ENOUGH = 0.9


def generate() -> dict[str, Path]:
    """Write all mutants below mutants/; name → the file that it is of."""
    import mutmut.__main__ as tool
    from mutmut.mutation.trampoline import set_mutant_under_test

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    with contextlib.redirect_stdout(sys.stderr):
        tool.copy_src_dir()
        tool.copy_also_copy_files()
        tool.setup_source_paths()
        tool.create_mutants(2)
    found = tool.collect_source_file_mutation_data(mutant_names=())[0]
    return {name: Path(str(data.path)) for data, name, _ in found}


def results() -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for meta in Path("mutants").rglob("*.meta"):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def show(name: str) -> str:
    done = subprocess.run([sys.executable, "-m", "mutmut", "show", name], capture_output=True, text=True, timeout=60)
    changed = [line for line in done.stdout.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    return "\n      ".join(changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sample", type=int, default=600, help="how many; 0: all")
    parser.add_argument("--seed", default="parley")
    parser.add_argument("--only", default="*", help="a pattern of files: app/domain/*")
    given = parser.parse_args()
    shutil.rmtree("mutants", ignore_errors=True)
    mutants = generate()
    names = sorted(name for name, path in mutants.items() if fnmatch.fnmatch(str(path), given.only))
    if given.sample and given.sample < len(names):
        names = random.Random(given.seed).sample(names, given.sample)
    print(f"{len(names)} of {len(mutants)} mutants, seed {given.seed}, at most {given.minutes:g} minutes", flush=True)
    with (
        contextlib.suppress(subprocess.TimeoutExpired),
        subprocess.Popen(
            [sys.executable, "-m", "mutmut", "run", "--max-children", "2", *names], stdout=subprocess.DEVNULL
        ) as running,
    ):
        try:
            running.wait(given.minutes * 60)
        except subprocess.TimeoutExpired:
            running.send_signal(2)
            running.wait(30)
    codes = {name: code for name, code in results().items() if name in set(names)}
    tried = {name: code for name, code in codes.items() if code is not None}
    left = sorted(name for name, code in tried.items() if code in (SURVIVED, NO_TEST))
    for name in left:
        print(f"{'survived' if tried[name] == SURVIVED else 'no test'}: {name}\n      {show(name)}", flush=True)
    by_file: dict[str, Counter[str]] = {}
    for name, code in tried.items():
        end = "left" if code in (SURVIVED, NO_TEST) else "killed"
        by_file.setdefault(str(mutants[name]), Counter())[end] += 1
    for path, counts in sorted(by_file.items()):
        print(f"{path}: {counts['killed']} of {counts.total()} killed")
    share = 1 - len(left) / max(1, len(tried))
    print(f"{share:.1%} of {len(tried)} mutants killed; {len(names) - len(tried)} not tried")
    sys.exit(share < ENOUGH)


if __name__ == "__main__":
    main()
