"""docs/journey.md and README.md speak of what is there: names, files, commands, documents."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JOURNEY = (ROOT / "docs" / "journey.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES_MAX = 250
_NAMED = re.compile(r"`([a-z_/0-9]+\.py): ([\w.]+)`")
_FILE = re.compile(r"`((?:gateway|drivers|fleet|simulator)/[\w/.-]+\.\w+)[`:]")
_COMMAND = re.compile(r"`python -m (\w+) ([a-z-]+)([^`]*)`")


def defined(path):
    """Return the functions, classes and methods (Class.method) of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body
                      if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    return names


def test_every_function_of_the_journey_stands_where_it_says():
    named = _NAMED.findall(JOURNEY)
    lost = [f"{path}: {name}" for path, name in named if name not in defined(ROOT / path)]
    assert len(named) > 30
    assert lost == []


def test_every_file_of_the_journey_is_there():
    files = set(_FILE.findall(JOURNEY))
    assert len(files) > 20
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_the_journey_can_be_read_in_one_sitting():
    assert len(JOURNEY.splitlines()) <= LINES_MAX


def test_the_snippets_of_the_journey_are_python():
    snippets = re.findall(r"```python\n(.*?)```", JOURNEY, re.DOTALL)
    assert len(snippets) == 4
    assert all(compile(text, "journey.md", "exec") for text in snippets)


def test_the_readme_leads_to_every_document():
    documents = [page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")]
    assert [page for page in documents if f"({page})" not in README] == []


@pytest.mark.parametrize("command", sorted({found[:2] for found in _COMMAND.findall(README)}))
def test_a_command_of_the_readme_has_the_options_it_names(command):
    wanted = set()
    for found in _COMMAND.findall(README):
        wanted |= set(re.findall(r"--[a-z]+", found[2])) if found[:2] == command else set()
    shown = subprocess.run([sys.executable, "-m", *command, "--help"], cwd=ROOT, check=False,
                           capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert sorted(option for option in wanted if option not in shown.stdout) == []
