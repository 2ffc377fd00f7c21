"""Each half that `make test` leaves out is one of a test that there is."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.halves import LONG, is_long

TESTS = Path(__file__).parents[1]


def test_each_named_test_is_there_and_has_two_halves() -> None:
    for path, halves in LONG.items():
        tree = ast.parse((TESTS / path).read_text())
        found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        for test in halves:
            assert test in found, f"{path} has no {test}"
            assert found[test].args.args, f"{test} is given nothing that could differ"


def test_a_half_is_known_by_a_whole_part_of_its_name() -> None:
    path, test = "scenarios/test_client.py", "test_a_bot_misses_nothing_that_came_while_it_was_down"
    assert is_long(path, test, "embedded-file") and not is_long(path, test, "real-file")
    assert not is_long(path, "another", "embedded") and not is_long("scenarios/test_pins.py", test, "embedded")
