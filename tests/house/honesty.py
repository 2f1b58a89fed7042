"""Tests that can fail, no stubs, no silent skips, and nothing of one machine in the repository."""

import ast
import re
import subprocess
from pathlib import Path

from tests.house.source import fault, functions

# The one place where a missing part may skip a test, because there CI turns it into a failure.
SKIP_DOOR = "tests/support/parts.py"
_SKIPS = {"skip", "skipif", "skipTest", "importorskip", "xfail"}
_ASSERTING = re.compile(r"^_*(assert|check_|expect)|^(raises|fail)$")
_UNFINISHED = re.compile(r"#.*\b(TO[D]O|FIX[M]E|X[X]X)\b")
# Absolute places of one machine, and hosts of package registries: a clone knows neither.
_MACHINE = re.compile(
    r"(?<![\w.~])/(?:work|root|home/\w+|Users/\w+)/"
    r"|://[^/\s]*(?:pypi|npmjs|debian)"
    r"|index[-]url"
)
_IGNORED = {".git", ".venv", "build", "dist", "out", "__pycache__", ".hypothesis"}


def check_tests_assert(source):
    """Yield a fault for a test function that cannot fail on a wrong value."""
    if not source.path.split("/")[-1].startswith("test_"):
        return
    local = {node.name: node for node in functions(source.tree)}
    asserting = {name for name, node in local.items() if _asserts(node, set())}
    grown = True
    while grown:        # a helper that calls an asserting helper asserts, too
        more = {name for name, node in local.items() if _asserts(node, asserting)}
        grown, asserting = more != asserting, more
    for name, node in local.items():
        if name.startswith("test_") and name not in asserting:
            yield fault(source, node, f"{name} asserts nothing")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant | ast.Tuple):
            yield fault(source, node, "this assertion is always the same")


def check_skips(source):
    """Yield a fault for a skip beside the one door."""
    if source.room or source.path == SKIP_DOOR:
        return
    for node in ast.walk(source.tree):
        name = getattr(node, "attr", "") if isinstance(node, ast.Attribute) else ""
        if name in _SKIPS and "pytest" in ast.unparse(node):
            yield fault(source, node, f"pytest {name}: ask tests.support.parts.need instead")


def check_finished(source):
    """Yield a fault for stubs, notes of unfinished work and errors that are swallowed whole."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
            yield fault(source, node, "a stub: raise NotImplementedError")
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield fault(source, node, "a bare except catches the interpreter's own exits")
            elif ast.unparse(node.type).endswith("Exception") and _only_pass(node.body):
                yield fault(source, node, "every error is silenced here")
    for number, line in enumerate(source.text.splitlines(), 1):
        if _UNFINISHED.search(line):
            yield fault(source, number, "a note of unfinished work; an issue keeps it better")


def check_machine(root):
    """Yield a fault for each line of a text file that names this machine or a registry."""
    for path in text_files(root):
        try:
            text = (Path(root) / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue        # a picture, or a file deleted but not yet committed
        for number, line in enumerate(text.splitlines(), 1):
            found = _MACHINE.search(line)
            if found:
                yield f"{path}:{number}: names a place outside the project: {found.group()}"


def text_files(root):
    """Return the paths git knows or would add; without git, everything but build products."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False,
    )
    if listed.returncode == 0 and (Path(root) / ".git").exists():
        return sorted(set(listed.stdout.splitlines()))
    files = (f.relative_to(root) for f in Path(root).rglob("*") if f.is_file())
    return sorted(f.as_posix() for f in files if not _IGNORED & set(f.parts))


def _asserts(node, helpers):
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Raise) and "AssertionError" in ast.unparse(inner):
            return True
        if isinstance(inner, ast.Call):
            name = getattr(inner.func, "attr", getattr(inner.func, "id", ""))
            if _ASSERTING.match(name) or name in helpers:
                return True
    return False


def _only_pass(body):
    return all(isinstance(node, ast.Pass) for node in body)
