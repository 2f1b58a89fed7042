"""The texts that people see on pages, in reports and from `verify`, by id.

One TOML file for each language (texts_en.toml): an id names a whole sentence or a label, and
{names} stand for values.  A text that depends on a count has a row for each plural form of
its language.  A second language is a second file with the same ids.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLURAL_FORMS = {"one", "other"}
LANGUAGE = "en"


class Texts:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        file = Path(__file__).with_name(f"texts_{language}.toml")
        self.language = language
        self.rows: dict[str, str | dict[str, str]] = {}
        self._flatten("", tomllib.loads(file.read_text(encoding="utf-8")))
        self._signs = str.maketrans({
            ",": self("number.group"), ".": self("number.point"), "-": self("number.minus")})

    def _flatten(self, prefix: str, table: Mapping[str, Any]) -> None:
        for name, value in table.items():
            if isinstance(value, dict) and set(value) != PLURAL_FORMS:
                self._flatten(f"{prefix}{name}.", value)
            else:
                self.rows[prefix + name] = value

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its values; raises KeyError for an unknown id or missing value."""
        row = self.rows[key]
        if not isinstance(row, str):
            raise KeyError(f"{key} depends on a count")
        return row.format_map(values) if values else row

    def parts(self, key: str, /, **values: object) -> list[str]:
        """Return a text in parts: each second one stands between `...` and is code."""
        return [part.format_map(values) for part in str(self.rows[key]).split("`")]

    def plural(self, key: str, number: int, /, **values: object) -> str:
        """Return a text in the plural form of a count, which it names {n}."""
        row = self.rows[key]
        if isinstance(row, str):
            raise KeyError(f"{key} does not depend on a count")
        return row["one" if number == 1 else "other"].format_map(
            {"n": self.grouped(f"{number:,}"), **values})

    def named(self, group: str, code: object) -> str:
        """Return the text of a code, or the code itself where the group has none."""
        found = self.rows.get(f"{group}.{code}")
        return found if isinstance(found, str) else str(code)

    def grouped(self, number: str) -> str:
        """Return a number like 1,234.5 with this language's signs."""
        return number.translate(self._signs)


say = Texts(LANGUAGE)
