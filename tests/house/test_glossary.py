"""docs/glossary.md: each word once, each with a meaning, and each name in code exists."""

import ast
import re
from pathlib import Path

import pytest

from tests.house.source import ROOMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def rows(page):
    """Return (word, meaning) of every row of a glossary's tables."""
    found = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    return [(word.strip(), meaning.strip()) for word, meaning in found if word.strip() != "word"]


def names_in_code(paths):
    """Return the functions, classes, methods and assigned names of files, and the files' own."""
    names = set()
    for path in paths:
        names |= {path.stem, *path.relative_to(ROOT).parts[:-1]}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            if isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def faults(page, names):
    """Return what is wrong with a glossary: a word twice, without a meaning, or a name that no
    code has."""
    found, words = [], set()
    for word, meaning in rows(page):
        plain = re.sub(r"\s*\(`[^)]*\)", "", word)
        found += [f"{plain}: twice"] if plain in words else []
        found += [f"{plain}: no meaning"] if not meaning else []
        found += [f"{plain}: no code has {name!r}" for name in re.findall(r"`([^`]+)`", word)
                  if name not in names]
        words.add(plain)
    return found


@pytest.fixture(scope="module")
def names():
    """Return the names of the product's code."""
    rooms = sorted({room.split(".")[0] for room in ROOMS})
    return names_in_code([path for room in rooms if room != "tests"
                          for path in (ROOT / room).rglob("*.py")])


def test_the_glossary_has_each_word_once_and_its_names_exist(names):
    assert len(rows(PAGE)) > 150
    assert len(re.findall(r"`\w+`", "".join(word for word, _ in rows(PAGE)))) > 70
    assert faults(PAGE, names) == []


@pytest.mark.parametrize("row", [
    "| scan (`NoSuchType`) | a thing |", "| scan | a thing |\n| scan (`Scan`) | another |",
    "| scan |  |"])
def test_a_planted_mistake_in_a_glossary_is_found(names, row):
    assert len(faults(f"| word | meaning |\n|---|---|\n{row}\n", names)) == 1


# Words that house and glossary have replaced, and verbs that make a person of a program.
_REPLACED = re.compile(r"\b(anew|mend(?:s|ed|ing)?|all is well|second reader|waiting room|the desk"
                       r"|hears|forgets|forgot|wants|tells|told|believes|remembers|coarsens?)\b")


def replaced_words(text):
    """Return the replaced words of a page's prose, each once; code, links and names are free."""
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.S)
    return sorted(set(_REPLACED.findall(prose)))


def test_the_documents_use_the_words_of_the_glossary():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 25
    assert {page.name: found for page in pages
            if (found := replaced_words(page.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(("text", "found"), [
    ("The journal begins anew and forgets.", ["anew", "forgets"]),
    ("It is mended; the page tells it.", ["mended", "tells"]),
    ("Commendation, `anew` and [a page](anew.md) are free.", []),
])
def test_a_planted_replaced_word_is_found(text, found):
    assert replaced_words(text) == found
