"""Reading a settings file: from text to plain values and the list of every mistake.

Pure: text and a grammar in, values and mistakes out.  TOML's parser keeps no lines, so a small
line index finds where each key stands; every mistake names its line.  Used for cabinet.toml
(gateway/config/table.py) and fleet.toml (fleet/settings.py).

kinds of a key: text, id (a-z 0-9 -), set (of factors, by id), int, number, bool, path (relative to
the file), host, hosts (a list of them), names (list of ids), time (RFC 3339).  low and high bound a
number or the length of a text or list.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

REQUIRED = object()
TEXT_BYTES_MAX = 1_048_576      # 128 devices with every key take about 60 KiB
ID = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
ASSIGN = re.compile(r"\s*([A-Za-z0-9_\-\"'. ]+?)\s*=")
SET = re.compile(r"[A-Za-z0-9._-]+")
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)
# Of one table: what TOML gave, checked key by key.
Values = dict[str, Any]


class ConfigKey(NamedTuple):
    """One key of one table; default REQUIRED: there is none."""

    name: str
    kind: str
    default: object
    low: Any = None
    high: Any = None
    choices: tuple[str, ...] = ()
    meaning: str = ""


class Grammar(NamedTuple):
    """The tables of a file.  needed: those that must be there.  lists: tables that repeat, and
    how often at most."""

    tables: Mapping[str, tuple[ConfigKey, ...]]
    needed: tuple[str, ...]
    lists: Mapping[str, int]


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
        dotted = ".".join(str(part) for part in path if not isinstance(part, int))
        self.mistakes.append(Mistake(self.lines.get(around, 0), f"{dotted}: {text}"))


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


def read(document: Document, grammar: Grammar) -> Values:
    """Return values by table: a dict of keys, or a list of them for a table that repeats.

    Every mistake lands in the document; a value with a mistake is None.
    """
    values: Values = {}
    for name in document.tables:
        if name not in grammar.tables:
            document.fault((name,), f"unknown table{nearest(name, grammar.tables)}; "
                                    f"allowed: {', '.join(grammar.tables)}")
    for name, keys in grammar.tables.items():
        if name in grammar.lists:
            values[name] = _read_list(document, name, keys, grammar.lists[name])
        elif name in document.tables:
            values[name] = _read_table(document, (name,), document.tables[name], keys)
        elif name in grammar.needed:
            document.fault((name,), f"table [{name}] is missing")
    return values


def load(data: bytes) -> Document:
    """Return the document of a file's bytes; what is no text has one mistake, and no tables."""
    if len(data) > TEXT_BYTES_MAX:
        return Document({}, {}, [Mistake(0, f"has {len(data)} bytes; at most {TEXT_BYTES_MAX} are "
                                            "allowed")])
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Document({}, {}, [Mistake(data.count(b"\n", 0, error.start) + 1,
                                         "is not UTF-8 text")])


def report(path: Path, mistakes: list[Mistake], command: str) -> str:
    """Return mistakes as text, one line each, in the form file:line: what; command: checks it."""
    lines = [f"{path}:{line}: {text}" if line else f"{path}: {text}" for line, text in mistakes]
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n".join([*lines, f"{count}; next: fix them and run {command}"])


def _read_list(document: Document, name: str, keys: tuple[ConfigKey, ...],
               most: int) -> list[Values]:
    items = document.tables.get(name, [])
    if not isinstance(items, list) or not items:
        document.fault((name,), f"at least one [[{name}]] is needed (double brackets)")
        return []
    if len(items) > most:
        document.fault((name,), f"{len(items)} entries; at most {most} are allowed")
    return [_read_table(document, (name, i), item, keys) for i, item in enumerate(items)]


def _read_table(document: Document, path: tuple[str | int, ...], table: object,
                keys: tuple[ConfigKey, ...]) -> Values:
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


def convert(key: ConfigKey, value: object) -> tuple[object, str]:
    """Return (value, "") or (None, what is wrong and what is allowed)."""
    converted, wrong = CONVERT[key.kind](key, value)
    return (None, wrong) if wrong else (converted, "")


def _text(key: ConfigKey, value: object) -> tuple[object, str]:
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


def _id(key: ConfigKey, value: object) -> tuple[object, str]:
    text, wrong = _text(key, value)
    if not wrong and not ID.match(str(text)):
        return None, f'"{value}" is not allowed; use a-z, 0-9 and -, not - first'
    return text, wrong


def _set(key: ConfigKey, value: object) -> tuple[object, str]:
    text, wrong = _text(key, value)
    if not wrong and not SET.fullmatch(str(text)):
        return None, f'"{value}" is not the id of a factor set; use A-Z, a-z, 0-9, . _ and -'
    return text, wrong


def _int(key: ConfigKey, value: object) -> tuple[object, str]:
    if isinstance(value, bool) or not isinstance(value, int):
        return None, (f"must be a whole number, got {_shown(value)}; "
                      f"allowed: {key.low} to {key.high}")
    if not key.low <= value <= key.high:
        return None, f"{value} is out of range; allowed: {key.low} to {key.high}"
    return value, ""


def _number(key: ConfigKey, value: object) -> tuple[object, str]:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None, f"must be a number, got {_shown(value)}; allowed: {key.low} to {key.high}"
    number = Decimal(value)
    if not number.is_finite() or not key.low <= number <= key.high:
        return None, f"{value} is out of range; allowed: {key.low} to {key.high}"
    return number, ""


def _bool(_key: ConfigKey, value: object) -> tuple[object, str]:
    return (value, "") if isinstance(value, bool) else (None, "must be true or false")


def _path(_key: ConfigKey, value: object) -> tuple[object, str]:
    if not isinstance(value, str) or not value or "\0" in value:
        return None, f"must be a path in quotes, got {_shown(value)}"
    return value, ""


def bare_host(text: str) -> str:
    """Return the name or address in a text, without scheme, user, port, path and brackets."""
    rest = text.partition("://")[2] or text
    rest = rest.split("/")[0].rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.split(":")[0] if rest.count(":") == 1 else rest     # more: an IPv6 address


def is_host(text: str) -> bool:
    """Return whether a text is a host's name or an IP address, without brackets."""
    import ipaddress  # only for whoever checks a file
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return HOST.fullmatch(text) is not None
    return True


def _host(key: ConfigKey, value: object) -> tuple[object, str]:
    text, wrong = _text(key, value)
    if wrong:
        return text, wrong
    name = bare_host(str(text))
    if name != text:
        return None, (f'"{text}" is more than a host; allowed: a name or an address without '
                      f'scheme, user, port and path; next: write host = "{name}" and the port as '
                      "port = ...")
    if not is_host(name):
        return None, f'"{text}" is neither a host\'s name nor an IP address'
    return text, ""


def _hosts(key: ConfigKey, value: object) -> tuple[object, str]:
    if not isinstance(value, list):
        return None, f'must be a list, e.g. ["energy.example.org"], got {_shown(value)}'
    good = len(value) <= key.high and all(
        isinstance(name, str) and (is_host(name) or _is_bracketed(name)) for name in value)
    if not good:
        return None, (f"{_shown(value)} is not allowed; allowed: a list of at most {key.high} host "
                      'names, each whole, without scheme, port or *, like ["energy.example.org"]')
    return tuple(value), ""


def _is_bracketed(name: str) -> bool:
    """Return whether a text is an IPv6 address as URLs have it."""
    inner = name[1:-1]
    return name == f"[{inner}]" and ":" in inner and is_host(inner)


def _names(key: ConfigKey, value: object) -> tuple[object, str]:
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


def _time(_key: ConfigKey, value: object) -> tuple[object, str]:
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


CONVERT = {"text": _text, "id": _id, "set": _set, "int": _int, "number": _number, "bool": _bool,
           "path": _path, "host": _host, "hosts": _hosts, "names": _names, "time": _time}
