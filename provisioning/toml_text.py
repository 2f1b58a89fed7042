"""The TOML of cabinet.toml and fleet.toml: a comment line, then tables, written by tomli-w.

Each row of a list stands under a head of its own, such as [[bus]]: the gateway's check names
the line of a mistake by these heads, and tomli-w would write short rows as inline tables.
"""

from collections.abc import Sequence
from typing import Any

import tomli_w

from gateway.core.errors import ConfigError

TomlTable = dict[str, Any]          # as TOML and JSON hold it


def document(title: str, tables: Sequence[tuple[str, object]]) -> str:
    """Return TOML text of each (name, dict or list of dicts).

    Keys without a value (None) and empty tables are left out.  Raises ConfigError for what
    TOML or UTF-8 cannot say.
    """
    blocks = [f"# {title}\n"]
    for name, content in tables:
        if isinstance(content, list):
            blocks += [_block(name, row, f"[[{name}]]\n") for row in content]
        elif isinstance(content, dict) and content:
            blocks.append(_block(name, content, f"[{name}]\n"))
    return "\n".join(blocks)


def _block(name: str, row: TomlTable, head: str) -> str:
    """Return one table under its head; tables inside it follow under [name.key]."""
    try:
        text = tomli_w.dumps({name: _without_none(row)})
        text.encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"[{name}] cannot be written as TOML: {error}") from error
    return head + text.removeprefix(f"[{name}]\n")


def _without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
