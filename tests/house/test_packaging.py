"""What is written is also what is installed: packages, data files, commands."""

import ast
import configparser
import fnmatch
from pathlib import Path

import pytest

from tests.house.source import ROOMS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")
COMMANDS = [
    line.split(" = ")
    for line in CONFIG["options.entry_points"]["console_scripts"].strip().splitlines()
]


def _files(*patterns):
    return [f for room in ROOMS for p in patterns for f in sorted((ROOT / room).rglob(p))
            if f.is_file() and "__pycache__" not in f.parts]


def test_each_folder_with_python_files_is_a_package():
    folders = {file.parent for file in _files("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()] == []


def test_each_data_file_in_a_room_is_installed():
    patterns = [p.strip() for p in CONFIG["options.package_data"]["*"].split(",")]
    lost = [
        str(file.relative_to(ROOT)) for file in _files("*")
        if file.suffix != ".py" and not any(fnmatch.fnmatch(file.name, p) for p in patterns)
    ]
    assert lost == []


@pytest.mark.parametrize(("command", "target"), COMMANDS, ids=[c for c, _ in COMMANDS])
def test_each_command_leads_to_a_main_function(command, target):
    module, function = target.split(":")
    file = ROOT / (module.replace(".", "/") + ".py")
    assert file.exists(), f"{command} has no {module}"
    names = {n.name for n in ast.parse(file.read_text(encoding="utf-8")).body
             if isinstance(n, ast.FunctionDef)}
    assert function in names


def test_pyproject_keeps_to_the_build_system():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 3
    assert text.startswith("[build-system]\n")


def test_the_type_checker_reads_every_file_of_the_product():
    sections = {name: CONFIG[name] for name in CONFIG.sections() if name.startswith("mypy")}
    assert CONFIG["mypy"]["strict"] == "True"
    assert CONFIG["mypy"]["files"].split(", ") == ["gateway", "drivers", "simulator",
                                                   "provisioning", "fleet"]
    assert sorted(CONFIG["mypy"]["files"].split(", ")) == sorted(ROOMS)
    loosened = {(name, key) for name, rows in sections.items() for key in rows} - {
        ("mypy", "python_version"), ("mypy", "strict"), ("mypy", "files"),
        ("mypy", "enable_error_code")}
    assert {key for _, key in loosened} == {"ignore_missing_imports"}
    assert not [name for name, _ in loosened for room in ROOMS if f"mypy-{room}" in name]
