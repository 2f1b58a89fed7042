"""Annotations leave a board's code without a trace, and lines keep their numbers."""

import ast

import pytest

from provisioning.board_image import build
from provisioning.board_image.untype import untyped
from tests.house.source import is_portable, sources

# (typed text, the text a board gets): one case for each thing that is taken out.
CASES = (
    ("def f(a: int, *b: str, c: 'X | None' = None, **d: int) -> list[int]:\n    pass",
     "def f(a, *b, c = None, **d):\n    pass"),
    ("def f(a: 'tuple[int,\\\n       int]', b: list[\n    int]) -> tuple[\n  int]:\n    pass",
     "def f(a, b\n):\n\n    pass"),
    ("A: int = 3", "A = 3"),
    ("A: dict[\n    int, str] = {}\nB = 1", "A = {}\n\nB = 1"),
    ("def f():\n    a: int\n    a, b = 1, 2", "def f():\n    \n    a, b = 1, 2"),
    ("class A:\n    a: int", "class A:\n    pass"),
    ("class A:\n    a: int\n    b: str", "class A:\n    pass\n    "),
    ("if TYPE_CHECKING:\n    from typing import Any\n    B = Any\nC = 1", "\n\n\nC = 1"),
    ("from gateway.core.types import TYPE_CHECKING, NamedTuple",
     "from collections import namedtuple"),
    ("from gateway.core.types import TYPE_CHECKING", ""),
    ("P = NamedTuple('P', [\n    ('a', int),  # why\n    ('b', 'int | None')])\nQ = 1",
     "P = namedtuple('P', ('a', 'b',))\n\n\nQ = 1"),
    ("def f(a: str = '->') -> 'A':\n    return '\u00e4: int'",
     "def f(a = '->'):\n    return '\u00e4: int'"),
)


@pytest.mark.parametrize(("typed", "bare"), CASES)
def test_a_board_gets_the_same_code_without_its_types(typed, bare):
    short = untyped(typed)
    assert short == bare or ast.dump(ast.parse(short)) == ast.dump(ast.parse(bare))
    assert short.count("\n") == typed.count("\n")


@pytest.mark.parametrize("text", [
    "def f(a, b=1):\n    return a", "if A:\n    B = 1\nelse:\n    B = 2"])
def test_code_without_types_stays_as_it_is(text):
    assert untyped(text) == text


def test_no_annotation_is_left_in_any_portable_file():
    for source in sources(build.ROOT):
        if not is_portable(source) or source.path == "gateway/core/types.py":
            continue
        short = untyped(source.text)
        assert short.count("\n") == source.text.count("\n")
        for node in ast.walk(ast.parse(short)):
            assert not isinstance(node, ast.AnnAssign), source.path
            assert getattr(node, "annotation", None) is None, source.path
            assert getattr(node, "returns", None) is None, source.path
        assert "TYPE_CHECKING" not in short and "NamedTuple" not in short, source.path
