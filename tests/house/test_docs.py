"""The documents agree with the house: the import table, and every link inside the repository."""

import ast
import re
import sys
from pathlib import Path

from tests.house.source import ROOMS, imported_names, room_of, sources

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


# What an installed package is called where it differs from its import.
PACKAGE_NAMES = {"serial": "pyserial", "paho": "paho-mqtt", "tomli_w": "tomli-w"}


def _imports():
    """Yield (room, dotted name) for every import of product code."""
    for source in sources(ROOT):
        for node in ast.walk(source.tree) if source.room else ():
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from ((source.room, name) for name in imported_names(node))


def _stated_room(name, stated):
    """Return the room of an imported name as the table says it: "gateway.config" is a door."""
    door = ".".join(name.split(".")[:2])
    return door if door in stated else room_of(name)


def test_the_import_table_of_the_design_page_is_what_the_rooms_import():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.split("### Who may import whom")[1].split("## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    stated = {room.strip(" `"): set(re.findall(r"`([a-z.]+)`", allowed)) for room, allowed in rows}
    real = {room: set() for room in stated}
    for room, name in _imports():
        if name.split(".")[0] in ROOMS:
            real[room].add(_stated_room(name, stated[room]))
    assert {room: rooms - {room} for room, rooms in real.items()} == stated


def test_each_installed_package_has_its_row_in_the_decision_about_packages():
    text = (ROOT / "docs" / "adr" / "0002-packages.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    used = {name.split(".")[0] for room, name in _imports() if room != "gateway.micro"}
    used -= {*ROOMS, *sys.stdlib_module_names}
    assert {"cryptography", "serial", "starlette"} <= used
    assert {name for name in used if PACKAGE_NAMES.get(name, name) not in rows} == set()


def test_each_link_between_documents_leads_somewhere():
    lost = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert lost == []
