"""Each house rule catches its planted fault, and is silent about the same lines put right."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.rules import faults
from tests.house.source import ROOMS
from tests.house.wrong_tree import EDGES, ROWS, RUFF

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


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


def test_cpython_files_beside_the_portable_ones_speak_the_full_language(tmp_path):
    text = "import json\nfrom drivers.links import tcp\nHALF = 1 / 2\nassert json and tcp"
    assert _faults_of(tmp_path, "drivers/__main__.py", text) == []


def test_a_folder_with_sixteen_files_is_a_fault(tmp_path):
    folder = tmp_path / "fleet" / "web"
    folder.mkdir(parents=True)
    for number in range(16):
        (folder / f"x{number}.py").write_text('"""A file."""\n', encoding="utf-8")
    assert faults(tmp_path) == ["fleet/web: 16 files; the limit is 15"]


def _ruff(root, path, text):
    """Return the codes that ruff, with the project's own settings, reports for one file."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    (root / "ruff.toml").write_bytes((ROOT / "ruff.toml").read_bytes())
    file.write_text('"""A file."""\n' + text + "\n", encoding="utf-8")
    done = subprocess.run([BIN / "ruff", "check", "--no-cache", "--output-format", "concise",
                           "--ignore", "I001,F401,INP001", path],
                          cwd=root, capture_output=True, text=True, check=False, timeout=60)
    lines = [line for line in done.stdout.splitlines() if line.startswith(path)]
    return {line.split()[1].strip(":") for line in lines}


@pytest.mark.parametrize("row", RUFF, ids=lambda row: f"{row.path}: {row.words}")
def test_ruff_finds_the_planted_fault_and_passes_the_corrected_lines(tmp_path, row):
    name = subprocess.run([BIN / "ruff", "rule", row.words, "--output-format", "json"],
                          capture_output=True, text=True, check=True, timeout=60).stdout
    rule = name.split('"name":')[1].split('"')[1]
    assert _ruff(tmp_path, row.path, row.wrong) == {rule}
    assert _ruff(tmp_path, row.path, row.right) == set()


def test_each_import_contract_breaks_when_its_wrong_import_is_planted(tmp_path):
    """One tree with one wrong import per contract: every contract is broken and names it."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    contracts = (ROOT / "setup.cfg").read_text(encoding="utf-8").count("[importlinter:contract:")
    for edge in EDGES:
        with (tmp_path / edge.path).open("a", encoding="utf-8") as file:
            file.write(f"\n{edge.wrong}\n")
    done = subprocess.run([BIN / "lint-imports", "--no-cache"], cwd=tmp_path, text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"0 kept, {contracts} broken" in done.stdout, done.stdout
    details = done.stdout.split("Broken contracts")[1]
    headings = " ".join(details.split())
    assert [edge for edge in EDGES if edge.contract not in headings] == []
    for edge in EDGES:
        module = edge.path.removesuffix(".py").replace("/", ".")
        assert module in details or f".{module.split('.')[-1]} ->" in details, edge


def test_a_type_name_stands_in_one_file(tmp_path):
    (tmp_path / "fleet").mkdir()
    for name, text in (("a", "class Unit:\n    '''A.'''"),
                       ("b", "from collections import namedtuple\nUnit = namedtuple('Unit', 'a')"),
                       ("c", "Other = dict[str, int]\nUNIT = 1")):
        (tmp_path / "fleet" / f"{name}.py").write_text(f'"""A file."""\n{text}\n')
    assert faults(tmp_path) == ["fleet/b.py:3: type Unit stands in fleet/a.py already"]
