"""Which keys a section of a document names: `documented.keys("formats.md", "19. Statement")`."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def keys(page, heading):
    """Return the names in backticks in the tables of a section; "a.b[].c d" names all four."""
    text = (DOCS / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return {name for ticked in re.findall(r"`([^`]+)`", "\n".join(rows))
            for name in re.findall(r"\w+", ticked)}


def keys_in(value, names_as_keys=()):
    """Return every key of a value made of dicts and lists; a dict under one of names_as_keys
    has names of the site as keys, which are left out."""
    if isinstance(value, list):
        return set().union(*(keys_in(one, names_as_keys) for one in value))
    if not isinstance(value, dict):
        return set()
    found = set(value)
    for key, inner in value.items():
        inside = keys_in(inner, names_as_keys)
        own = set(inner) if isinstance(inner, dict) and key in names_as_keys else set()
        found |= inside - own
    return found
