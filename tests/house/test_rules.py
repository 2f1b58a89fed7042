"""Each house rule catches its planted fault, and is silent about the same lines put right."""

import pytest

from tests.house.rules import faults
from tests.house.wrong_tree import ROWS


def _faults_of(root, path, text):
    """Write one file into an empty tree and return what the rules say about it."""
    file = root / path
    file.parent.mkdir(parents=True)
    is_python = path.endswith(".py")
    file.write_text(('"""A file."""\n' if is_python else "") + text + "\n", encoding="utf-8")
    return faults(root)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path}: {row.words}")
def test_a_planted_fault_is_named_with_file_and_line(tmp_path, row):
    found = _faults_of(tmp_path, row.path, row.wrong)
    assert len(found) == 1, found
    assert found[0].startswith(row.path + ":")
    assert row.words in found[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path}: {row.words}")
def test_the_corrected_lines_pass(tmp_path, row):
    assert _faults_of(tmp_path, row.path, row.right) == []


def test_a_missing_module_docstring_is_a_fault(tmp_path):
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "x.py").write_text("A = 1\n", encoding="utf-8")
    assert faults(tmp_path) == ["fleet/x.py:1: the module has no docstring"]


def test_the_one_doors_themselves_may_open(tmp_path):
    for path, text in (
        ("gateway/timekeeping/clock.py", "import time\nNOW = time.time()"),
        ("gateway/storage/store.py", "import os\nSYNC = os.fdatasync"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(f'"""A door."""\n{text}\n', encoding="utf-8")
    assert faults(tmp_path) == []


def test_cpython_files_beside_the_portable_ones_speak_the_full_language(tmp_path):
    text = "import json\nfrom drivers.links import tcp\nHALF = 1 / 2\nassert json and tcp"
    assert _faults_of(tmp_path, "drivers/__main__.py", text) == []
