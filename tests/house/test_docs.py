"""The documents agree with the house: the import table, and every link inside the repository."""

import re
from pathlib import Path

from tests.house.imports import MAY_IMPORT, PACKAGES

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def test_the_import_table_of_the_design_page_is_the_enforced_one():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    table = text.split("### Who may import whom")[1].split("## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    stated = {room.strip(" `"): set(re.findall(r"`([a-z.]+)`", allowed)) for room, allowed in rows}
    assert stated == MAY_IMPORT


def test_each_enforced_package_has_its_row_in_the_decision_about_packages():
    text = (ROOT / "docs" / "adr" / "0002-packages.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    used = set().union(*PACKAGES.values()) - {"serial", "paho"}     # pyserial, paho-mqtt
    assert {name for name in used | {"pyserial", "paho-mqtt"} if name not in rows} == set()


def test_each_link_between_documents_leads_somewhere():
    lost = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert lost == []
