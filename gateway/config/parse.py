"""Reading cabinet.toml: from text to plain values and the list of every mistake.

Pure: text in, values and mistakes out.  TOML's parser keeps no lines, so a small line index
finds where each key stands; every mistake names its line.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from gateway.config.renamed import renamed
from gateway.config.table import LISTS, NEEDED, REQUIRED, TABLES, Key

TEXT_BYTES_MAX = 1_048_576      # 128 devices with every key take about 60 KiB
ID = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
ASSIGN = re.compile(r"\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")
# Of one table: what TOML gave, checked key by key with table.py.
Values = dict[str, Any]


class Mistake(NamedTuple):
    """One thing to mend.  line: 1-based, 0 = the file as a whole."""

    line: int
    text: str


class Document(NamedTuple):
    """Parsed tables, the line of every path, and the mistakes found so far."""

    tables: Values
    lines: dict[tuple[str | int, ...], int]
    mistakes: list[Mistake]

    def fault(self, path: tuple[str | int, ...], text: str) -> None:
        """Add a mistake at the line of a path, or of the nearest table around it."""
        around = path
        while around and around not in self.lines:
            around = around[:-1]
        place = ".".join(str(part) for part in path if not isinstance(part, int))
        self.mistakes.append(Mistake(self.lines.get(around, 0), f"{place}: {text}"))


def nearest(word: str, words: Iterable[str]) -> str:
    """Return ' (did you mean "x"?)' for the most similar word, or an empty text."""
    import difflib  # only for whoever has mistyped a word
    found = difflib.get_close_matches(word, list(words), 1, 0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""


def line_index(text: str) -> dict[tuple[str | int, ...], int]:
    """Return the 1-based line of each table and key, by path, e.g. ("bus", 0, "baud")."""
    lines: dict[tuple[str | int, ...], int] = {}
    counts: dict[str, int] = {}
    table: tuple[str | int, ...] = ()
    inside = ""                         # the quotes that close a multi-line text
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        header, assign = HEADER.match(line), ASSIGN.match(line)
        if header and not assign:
            name = header[2].strip("\"' ")
            table = (name,)
            if header[1] == "[[":
                table = (name, counts.get(name, 0))
                counts[name] = counts.get(name, 0) + 1
            lines.setdefault(table, number)
            lines.setdefault((name,), number)
        elif assign:
            path = table + tuple(part.strip("\"' ") for part in assign[1].split("."))
            lines.setdefault(path, number)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                inside = quotes
    return lines


def parse(text: str) -> Document:
    """Return the document; a syntax error is its only mistake, with line and column."""
    try:
        tables = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, InvalidOperation) as error:
        found = re.search(r"line (\d+)", str(error))
        return Document({}, {}, [Mistake(int(found[1]) if found else 0, f"not TOML: {error}")])
    return Document(tables, line_index(text), [])


def read(document: Document) -> Values:
    """Return values by table: a dict of keys, or a list of them for [[bus]], [[device]].

    Every mistake lands in the document; a value with a mistake is None.
    """
    values: Values = {}
    _rename_keys(document)
    for name in document.tables:
        if name not in TABLES:
            document.fault((name,), f"unknown table{nearest(name, TABLES)}; "
                                    f"allowed: {', '.join(TABLES)}")
    for name, keys in TABLES.items():
        if name in LISTS:
            values[name] = _read_list(document, name, keys)
        elif name in document.tables:
            values[name] = _read_table(document, (name,), document.tables[name], keys)
        elif name in NEEDED:
            document.fault((name,), f"table [{name}] is missing")
    return values


def _rename_keys(document: Document) -> None:
    """Put new keys for old ones into the document; each old one is a mistake."""
    buses = document.tables.get("bus")
    if not isinstance(buses, list):
        return
    for index, bus in enumerate(buses):
        if isinstance(bus, Mapping):
            buses[index], old = renamed(bus)
            for key, text in old:
                document.fault(("bus", index, key), text)


def _read_list(document: Document, name: str, keys: tuple[Key, ...]) -> list[Values]:
    items = document.tables.get(name, [])
    if not isinstance(items, list) or not items:
        document.fault((name,), f"at least one [[{name}]] is needed (double brackets)")
        return []
    if len(items) > LISTS[name]:
        document.fault((name,), f"{len(items)} entries; at most {LISTS[name]} are allowed")
    return [_read_table(document, (name, i), item, keys) for i, item in enumerate(items)]


def _read_table(document: Document, path: tuple[str | int, ...], table: object,
                keys: tuple[Key, ...]) -> Values:
    if not isinstance(table, Mapping):
        document.fault(path, f"must be a table: write [{path[0]}] on a line of its own")
        return {}
    known = {key.name: key for key in keys}
    for name in table:
        if name not in known:
            document.fault((*path, name), f"unknown key{nearest(name, known)}; "
                                          f"allowed: {', '.join(known)}")
    values: Values = {}
    for key in keys:
        if key.name not in table:
            if key.default is REQUIRED:
                document.fault((*path, key.name), f"is missing ({key.meaning})")
            values[key.name] = None if key.default is REQUIRED else key.default
            continue
        value, wrong = convert(key, table[key.name])
        if wrong:
            document.fault((*path, key.name), wrong)
        values[key.name] = value
    return values


def convert(key: Key, value: object) -> tuple[object, str]:
    """Return (value, "") or (None, what is wrong and what is allowed)."""
    converted, wrong = CONVERT[key.kind](key, value)
    return (None, wrong) if wrong else (converted, "")


def _text(key: Key, value: object) -> tuple[object, str]:
    if not isinstance(value, str):
        return None, f"must be text in quotes, got {value!s}"
    if key.choices and value not in key.choices:
        return None, (f'"{value}" is not allowed{nearest(value, key.choices)}; '
                      f"allowed: {', '.join(key.choices)}")
    if not value.isprintable():
        return None, "has characters that cannot be printed"
    if key.low is not None and not key.low <= len(value) <= key.high:
        return None, f"has {len(value)} characters; allowed: {key.low} to {key.high}"
    return value, ""


def _id(key: Key, value: object) -> tuple[object, str]:
    text, wrong = _text(key, value)
    if not wrong and not ID.match(str(text)):
        return None, f'"{value}" is not allowed; use a-z, 0-9 and -, not - first'
    return text, wrong


def _int(key: Key, value: object) -> tuple[object, str]:
    if isinstance(value, bool) or not isinstance(value, int):
        return None, (f"must be a whole number, got {_shown(value)}; "
                      f"allowed: {key.low} to {key.high}")
    if not key.low <= value <= key.high:
        return None, f"{value} is out of range; allowed: {key.low} to {key.high}"
    return value, ""


def _number(key: Key, value: object) -> tuple[object, str]:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None, f"must be a number, got {_shown(value)}; allowed: {key.low} to {key.high}"
    number = Decimal(value)
    if not number.is_finite() or not key.low <= number <= key.high:
        return None, f"{value} is out of range; allowed: {key.low} to {key.high}"
    return number, ""


def _bool(_key: Key, value: object) -> tuple[object, str]:
    return (value, "") if isinstance(value, bool) else (None, "must be true or false")


def _path(_key: Key, value: object) -> tuple[object, str]:
    if not isinstance(value, str) or not value or "\0" in value:
        return None, f"must be a path in quotes, got {_shown(value)}"
    return value, ""


def _names(key: Key, value: object) -> tuple[object, str]:
    if not isinstance(value, list):
        return None, f'must be a list, e.g. ["node-1"], got {_shown(value)}'
    if len(value) > key.high:
        return None, f"has {len(value)} names; at most {key.high} are allowed"
    for name in value:
        if not isinstance(name, str) or not ID.match(name) or len(name) > 40:
            return None, f"{_shown(name)} is not a name; use a-z, 0-9 and -, at most 40"
    if len(set(value)) != len(value):
        return None, "names a thing twice"
    return tuple(value), ""


def _time(_key: Key, value: object) -> tuple[object, str]:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        return None, f"{_shown(value)} is not RFC 3339 with a zone, e.g. 2026-06-01T00:00:00Z"
    return round(moment.astimezone(UTC).timestamp() * 1000), ""


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


CONVERT = {"text": _text, "id": _id, "int": _int, "number": _number, "bool": _bool,
           "path": _path, "names": _names, "time": _time}
