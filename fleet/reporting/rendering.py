"""How HTML is made: Jinja2 templates with autoescape, compiled once.

A template is the only place with markup; what comes from outside goes in as values and is
escaped.  Characters that a reader cannot see and that change what he sees (control characters,
marks that turn the direction of writing) are shown by their number.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup

from fleet.reporting import text
from fleet.texts import say

TEMPLATES = Path(__file__).with_name("templates")
ASSETS = Path(__file__).resolve().parents[1] / "web" / "assets"
# C0 and C1 controls but tab and line feed, direction marks, surrogates, non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ud800-\udfff\ufeff\ufff9-\uffff]")
_BETWEEN_TAGS = re.compile(r"(?<=[>}])\s*\n\s*(?=[<{])")
FILTERS = {"t": say, "parts": say.parts, "power": text.power, "energy": text.energy,
           "share": text.share, "figure": text.figure}


def visible(value: Any) -> Any:
    """Return a value as it may be shown: unseen characters as \\uXXXX, safe markup as it is."""
    if value.__class__ is not str or value.isprintable():
        return value
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


class Tight(Extension):
    """Drops line breaks and indentation between tags: fewer bytes, no empty nodes."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return a template's text as it is compiled; style sheets stay as they are."""
        return _BETWEEN_TAGS.sub("", source) if (name or "").endswith(".html") else source


def environment(*folders: Path) -> Environment:
    """Return an environment for the templates of some folders and the shared ones."""
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES, ASSETS]), autoescape=True,
        undefined=StrictUndefined, finalize=visible, extensions=[Tight], auto_reload=False)
    made.filters.update(FILTERS)
    made.globals["language"] = say.language
    return made


@cache
def shared() -> Environment:
    """Return the environment of reports and charts."""
    return environment()


def render(made: Environment, name: str, values: Mapping[str, object]) -> Markup:
    """Return a rendered template: escaped, so that another template may contain it."""
    return Markup(made.get_template(name).render(values))
