"""Every reference to a section or a file leads somewhere; tables in documents are the code's."""

from pathlib import Path

import pytest

from gateway.core.measurand import COUNTER, GAUGE, STATE, TABLE
from tests.house.documents import faults
from tests.house.honesty import text_files

ROOT = Path(__file__).resolve().parents[2]
KIND_NAMES = {GAUGE: "gauge", COUNTER: "counter", STATE: "state"}
PAGE = ("# A page\n\n## 1. First\n\nSee section 2 and (2.1).\n\n## 2. Second\n\n**2.1 Part.** Text."
        "\n\n### Loose words\n")
FILES = ("README.md", "docs/a.md", "docs/b.md", "room/one.py", "room/data/x.toml",
         "room/__main__.py")


def read(paths):
    """Return {path: text} of files of this repository."""
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}


def test_every_section_and_every_file_that_is_named_exists():
    files = [path for path in text_files(ROOT) if (ROOT / path).exists()]
    pages = [path for path in files if path == "README.md"
             or path.startswith("docs/") and path.endswith(".md")]
    modules = [path for path in files if path.endswith(".py") and not path.startswith("tests/")]
    assert len(pages) > 10 and len(modules) > 100
    assert faults(read(pages), read(modules), files) == []


@pytest.mark.parametrize("text", [
    "See [a](a.md), section 2, and `docs/a.md` section 2.1.",
    "As a.md 1 and 2 say, and docs/a.md, \"Loose words\".",
    "RFC 9052 section 4.2 is not ours.",
    "`room/one.py: function`, `room/one.py:12`, `one.py`, `room/data/*.toml`, `room/`",
    "`python -m room run`, `room/data/NAME.toml`, `out/anything.json`, `cabinet.toml`",
])
def test_a_reference_that_leads_somewhere_is_none(text):
    assert faults({"docs/a.md": PAGE, "docs/b.md": text}, {}, FILES) == []


@pytest.mark.parametrize("text", [
    "See [a](a.md), section 3.",
    "See docs/a.md sections 1 and 7.",
    "See a.md,\n2.2 for more.",
    "See docs/a.md, \"Tight words\".",
    "See section 1.",
    "`room/two.py`", "`two.py: function`", "`rooms/one.py`", "`room/data/*.json`", "`c.md`",
    "`python -m room.nothing run`",
])
def test_a_planted_reference_that_leads_nowhere_is_found(text):
    assert len(faults({"docs/a.md": PAGE, "docs/b.md": text}, {}, FILES)) == 1


def test_a_numbered_page_is_held_to_its_own_sections():
    found = faults({"docs/a.md": PAGE + "\nSee section 9 and (2.8).\n"}, {}, FILES)
    assert len(found) == 2


@pytest.mark.parametrize(("text", "count"), [
    ('"""Docs: docs/a.md section 2 (section 2.1)."""\n', 0),
    ('"""Docs: docs/a.md section 4."""\n', 1),
    ('"""Nothing."""\nX = 1   # docs/a.md,\n# section 5\n', 1),
    ('"""By section 2."""\n', 1),
    ('"""See room/two.py."""\n', 1),
    ('"""See one.py and docs/a.md."""\nX = "two.py"\n', 0),
])
def test_docstrings_and_comments_are_read_and_nothing_else_of_a_module(text, count):
    assert len(faults({"docs/a.md": PAGE}, {"room/one.py": text}, FILES)) == count


def test_the_table_of_measurands_is_that_of_the_code():
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    section = text.split("## 15. Measurands")[1].split("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]]
            for line in section.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [[str(m.id), m.name, m.unit, str(m.exponent), str(m.fine),
                     KIND_NAMES[m.kind], m.obis] for m in TABLE]
