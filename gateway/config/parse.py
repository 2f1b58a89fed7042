"""Reading cabinet.toml: the grammar of table.py, and the new names of old keys."""

from collections.abc import Mapping

from gateway.aio.toml_check import Document, Grammar, Values
from gateway.aio.toml_check import read as read_tables
from gateway.config.renamed import renamed
from gateway.config.table import LISTS, NEEDED, TABLES

GRAMMAR = Grammar(TABLES, NEEDED, LISTS)


def read(document: Document) -> Values:
    """Return values by table: a dict of keys, or a list of them for [[bus]], [[device]].

    Every mistake lands in the document; a value with a mistake is None.
    """
    _rename_keys(document)
    return read_tables(document, GRAMMAR)


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
