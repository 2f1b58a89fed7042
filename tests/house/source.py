"""The files the house rules look at, and the room each one stands in."""

import ast
from collections import namedtuple
from pathlib import Path, PurePosixPath

ROOMS = ("gateway", "drivers", "simulator", "provisioning", "fleet")
SUBROOMS = ("gateway.core", "gateway.ledger", "gateway.micro", "gateway.aio", "drivers.links")
# Command-line faces and files of portable rooms that only CPython runs.
CPYTHON_ONLY = {"drivers.__main__": "drivers.links"}

# path: relative to the root.  room: "" for tests.  tree: ast.Module.
Source = namedtuple("Source", ("path", "room", "tree", "text"))


def room_of(name):
    """Return the room a dotted module name belongs to: 'gateway.core', 'drivers', ..."""
    parts = name.split(".")
    two = ".".join(parts[:2])
    if two in CPYTHON_ONLY:
        return CPYTHON_ONLY[two]
    return two if two in SUBROOMS else parts[0]


def module_name(path):
    """Return the dotted name under which a file is imported."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_portable(source):
    """Tell whether both interpreters run this file."""
    return source.room in ("gateway.core", "drivers")


def is_portable_test(path):
    """Tell whether a test file is one that MicroPython runs too."""
    place = PurePosixPath(path)
    parent = place.parent.as_posix()
    return (
        (parent == "tests/drivers" or f"{parent}/".startswith("tests/gateway/core/"))
        and place.name.startswith("test_")
        and not place.stem.endswith(("_props", "_cpython"))
    )


def read_source(root, file):
    """Return the Source of one file under root; a file that does not parse raises SyntaxError."""
    path = file.relative_to(root).as_posix()
    text = file.read_text(encoding="utf-8")
    room = room_of(module_name(path)) if path.split("/")[0] in ROOMS else ""
    return Source(path, room, ast.parse(text, path), text)


def sources(root):
    """Yield every Python file of the rooms and of the tests, sorted by path."""
    for top in (*ROOMS, "tests"):
        for file in sorted((Path(root) / top).rglob("*.py")):
            yield read_source(Path(root), file)


def functions(tree):
    """Yield every function definition of a tree, methods and nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def fault(source, node, text):
    """Return one fault as a line; node: anything with a lineno, or a line number."""
    line = node if isinstance(node, int) else node.lineno
    return f"{source.path}:{line}: {text}"


def imported_names(node):
    """Yield the dotted names an import statement brings in."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
        return
    for alias in node.names:
        yield f"{node.module}.{alias.name}"
