"""python -m tests.faults [--seed N] [--faults 20] [--seconds 120] [--defect NAME]"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys

from tests.faults.run import run_faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--defect", default="")
    settings = vars(parser.parse_args())
    print(f"seed {settings['seed']}", flush=True)
    sys.exit(1 if asyncio.run(run_faults(**settings)).violations else 0)


if __name__ == "__main__":
    main()
