"""Write the TOML that cabinet.toml and fleet.toml need: tables of plain values.

The standard library reads TOML but does not write it.  Strings are written as JSON strings,
which TOML basic strings contain (TOML 1.0, "String"), apart from DEL, which is refused.
"""

import json
from typing import Any

from gateway.core.errors import ConfigError


def document(title: str, tables: list[tuple[str, Any]]) -> str:
    """Return TOML text: a comment line, then each (name, dict or list of dicts)."""
    blocks = [f"# {title}"]
    for name, content in tables:
        if isinstance(content, list):
            blocks += [_block(f"[[{name}]]", row) for row in content]
        elif content:
            blocks.append(_block(f"[{name}]", content))
    return "\n\n".join(blocks) + "\n"


def _block(head: str, row: dict[str, Any]) -> str:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in row.items() if value is not None]
    return "\n".join([head, *lines])


def _key(key: str) -> str:
    plain = key.replace("_", "").replace("-", "")
    return key if plain.isascii() and plain.isalnum() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        if "\x7f" in value:
            raise ConfigError(f"{value!r}: the control character DEL has no place in a name")
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return "{" + inner + "}"
    raise ConfigError(f"{value!r}: a {type(value).__name__} cannot stand in a configuration")
