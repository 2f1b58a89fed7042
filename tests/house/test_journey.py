"""docs/journey.md and README.md speak of what is there: names, files, commands, documents."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
import zlib
from collections import namedtuple
from pathlib import Path
from random import Random

import pytest
import serial

from tests.support.page_blocks import Runner, blocks

ROOT = Path(__file__).resolve().parents[2]
JOURNEY = (ROOT / "docs" / "journey.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRODUCT = "".join(path.read_text(encoding="utf-8") for room in (
    "gateway", "drivers", "fleet") for path in (ROOT / room).rglob("*.py"))
PLAIN = (str, bytes, list, Path, Random, json, zlib, zlib.decompressobj(), serial, serial.Serial,
         namedtuple("Any", ()))
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


def lost_names(source):
    """Return the names a snippet imports, or takes from an imported module, that do not exist;
    and those it takes from a value that no file of the product and no plain type has."""
    tree, modules, lost = ast.parse(source), {}, []
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            name = f"{node.module}.{alias.name}"
            if importlib.util.find_spec(name) if is_package(node.module) else None:
                modules[alias.name] = importlib.import_module(name)
            elif not hasattr(importlib.import_module(node.module), alias.name):
                lost.append(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None and not hasattr(module, node.attr):
                lost.append(f"{module.__name__}.{node.attr}")
    return lost + [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
                   and not any(hasattr(kind, node.attr) for kind in PLAIN)
                   and not re.search(rf"def {node.attr}\b|\"{node.attr}\"|^    {node.attr}:",
                                     PRODUCT, re.M)]


def is_package(name):
    """Return whether a module's name is that of a folder."""
    return importlib.util.find_spec(name).submodule_search_locations is not None


def test_every_name_in_a_snippet_of_a_document_exists():
    pages = {page.name: re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"),
                                   re.M | re.S) for page in (ROOT / "docs").glob("*.md")}
    assert len(pages["journey.md"]) >= 5 and len(pages["figures.md"]) >= 1
    assert {name: lost for name, snippets in pages.items()
            if (lost := [name for source in snippets for name in lost_names(source)])} == {}


@pytest.mark.parametrize("source", [
    "from fleet import no_such_file", "from fleet.verify import no_such_name",
    "from gateway.core import interval\nprint(interval.no_such_function([]))",
    "with open('a file') as reader:\n    reader.no_such_method()"])
def test_a_planted_name_that_does_not_exist_is_found(source):
    assert len({name.split(".")[-1] for name in lost_names(source)}) == 1


def test_the_blocks_that_need_no_demo_print_what_the_journey_says(tmp_path):
    alone = [block for block in blocks(JOURNEY) if "demo-out" not in block.source]
    assert [block.language for block in alone] == ["sh", "sh", "python", "sh"]
    with Runner(tmp_path) as runner:
        assert [fault for block in alone if (fault := runner.fault(block))] == []


@pytest.mark.parametrize(("source", "output"), [
    ("```python\nprint(6 * 7)\n```", "```text exact\n41\n```"),
    ("```python\nprint('bus 7')\n```", "```text shape\nbus 7 8 up\n```"),
    ("```python\nprint('a')\nprint('b')\n```", "```text part\nb\na\n```"),
    ("```python\nfrom fleet import site\nsite.rules_for\n```", "```text shape\n47\n```"),
    ("```sh\npython -m drivers show no-such-meter\n```", ""),
])
def test_a_planted_wrong_block_is_found(tmp_path, source, output):
    block, = blocks(f"# A page\n\n{source}\n{output}\n")
    with Runner(tmp_path) as runner:
        assert "line 3" in runner.fault(block)


@pytest.mark.parametrize(("source", "output"), [
    ("```python\nprint(6 * 7)\n```", "```text exact\n42\n```"),
    ("```python\nprint('bus ae 7', -1.5)\nprint('bus 09', 1)\n```", "```text shape\nbus 12 8\n```"),
    ("```python\nprint('  a')\nprint('b')\n```", "```text part\na\nb\n```"),
])
def test_a_right_block_is_none(tmp_path, source, output):
    block, = blocks(f"{source}\n{output}\n")
    with Runner(tmp_path) as runner:
        assert runner.fault(block) is None


@pytest.mark.parametrize("page", [
    "```\nnobody runs this\n```\n", "```text exact\nof nothing\n```\n",
    "```sh\ntrue\n```\n```text about\n1\n```\n"])
def test_a_block_that_is_neither_run_nor_compared_is_refused(page):
    with pytest.raises(ValueError, match="neither run nor compared"):
        blocks(page)


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
