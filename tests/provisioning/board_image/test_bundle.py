"""Many modules as one text: it does the same, in other words, and its lines can be found."""

import sys
import types

import pytest

from provisioning.__main__ import main
from provisioning.board_image.bundle import CORE, LINES, START, Bundler
from provisioning.board_image.minify import without_texts

TEXTS = {
    "room/__init__.py": '"""A room."""\n',
    "room/low.py": '''"""Below all others."""
import binascii
SCALE = {"a": 3}
def scale(value, low=None):
    """An argument hides the name of a module."""
    return value * SCALE["a"] + (low or 0)
class Low(Exception):
    scale = 7
    def told(self):
        return scale(self.scale)
def unused():
    return 1
''',
    "room/once.py": '''"""For a start only."""
from . import low
def helper(numbers):
    return [low.scale(scale) for scale in numbers]
def begin(numbers):
    raise low.Low(helper(numbers))
''',
    "room/top.py": '''"""What runs."""
import room.low as base
from room.once import begin as first
from .low import Low as Deep, scale
def run():
    from binascii import crc32
    found = [value for value in range(3) if (lambda scale: scale > 0)(value)]
    try:
        first(found)
    except Deep as error:
        return error.args[0], error.told(), base.scale(2, low=1), scale(1), crc32(b"x")
''',
}
EXPECTED = ([3, 6], 21, 7, 3, 2363233923)


@pytest.fixture
def merger():
    return Bundler(TEXTS)


def texts_of(merger):
    return merger.merged(("room.top", "run"), (("room.once", "begin"),))


def test_the_merged_text_does_what_the_modules_did(merger, monkeypatch):
    for name, text in texts_of(merger).items():
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(text, name, "exec"), module.__dict__)
    assert sys.modules[CORE].run() == EXPECTED


def test_what_only_a_start_needs_stands_in_a_text_of_its_own(merger):
    texts = texts_of(merger)
    assert texts[CORE].count("def ") == 3 and "unused" not in "".join(texts.values())
    assert texts[START].count("def ") == 2
    assert texts[CORE].count(f'__import__("{START}")') == 1


def test_lines_and_errors_can_be_found_again(merger, capsys):
    lines = texts_of(merger)[CORE].split("\n")
    at = [number for number, line in enumerate(lines, 1) if line.startswith("class Low")][0]
    assert merger.origin(at) == "room/low.py:7"
    with pytest.raises(IndexError):
        merger.origin(LINES - 1)
    assert main(["symbolicate", "999999"]) == 1
    assert main(["symbolicate", str(LINES + 1)]) == 0
    assert ".py:1" in capsys.readouterr().out


def test_an_error_of_ours_carries_its_line_instead_of_a_text():
    text = ('class Bad(Exception):\n    pass\n\n\ndef f(a):\n    raise Bad("%d is bad"\n'
            '              % a, 3)\n\n\ndef g():\n    return Bad(f)\n')
    short = without_texts(text, frozenset(["Bad"]))
    assert short.split("\n")[5:7] == ["    raise Bad(__line__", ", 3)"]
    merged = Bundler({"m.py": short}).merged(("m", "g"), ())[CORE]
    assert f"raise Bad({LINES + 6}\n, 3)" in merged
