"""One meaning a word: a type's name stands in one file, and words that were replaced stay gone.

What a word means stands in docs/glossary.md.  Two types of one name make a reader ask which of
them is meant, so a name is given once in the product, as a class, a namedtuple or an alias.
"""

import ast
import re
from collections import namedtuple
from pathlib import Path

from tests.house.source import fault

# old: a name as it stood in code, without regard to a leading underscore.  new: what is said now.
# unless: a pattern; a file whose path it finds may keep the word, and the reason stands beside it.
Word = namedtuple("Word", ("old", "new", "unless"))

_NOWHERE = r"(?!)"
NAMES = (
    Word("Coarsening", "Downsampling", _NOWHERE),
    Word("CoarseBatches", "DownsampledBatches", _NOWHERE),
    Word("Coarse", "DownsampledBatch", _NOWHERE),
    Word("Booking", "Rollup", _NOWHERE),
    Word("shelve", "quarantine", _NOWHERE),
    Word("Desk", "Ingest", _NOWHERE),
    Word("receive_all", "process", _NOWHERE),
    Word("stretches", "spans", _NOWHERE),
    Word("together", "run_until_first_failure", _NOWHERE),
    Word("heed_stop", "raise_if_cancelled", _NOWHERE),
    Word("Flag", "Wakeup", _NOWHERE),
    Word("Room", "Retention", _NOWHERE),
    Word("tend", "reclaim_step", _NOWHERE),
    Word("out_of_room", "out_of_space", _NOWHERE),
    Word("begin_anew", "restart_for_successor", _NOWHERE),
    Word("carried", "battery_checkpoint", _NOWHERE),
    Word("Sheet", "ColumnBlock", _NOWHERE),
    Word("sheet_of", "block_of", _NOWHERE),
    Word("Asker", "RegisterReader, TransactionRunner", _NOWHERE),
    Word("Shaker", "TreeShaker", _NOWHERE),
    Word("Merger", "Bundler", _NOWHERE),
    Word("shorten", "minify", _NOWHERE),
    Word("words_of", "describe_incident", _NOWHERE),
    Word("told", "reported, described", _NOWHERE),
    Word("news", "state_change", _NOWHERE),
    Word("hear", "receive", _NOWHERE),
    Word("heard", "has_response", _NOWHERE),
    Word("worth", "value_per_count", _NOWHERE),
    Word("worth_wh", "wh_per_count", _NOWHERE),
    Word("Question", "ReportRequest", _NOWHERE),
    Word("Placed", "NewBatch", _NOWHERE),
    Word("link_lost", "session_lost", _NOWHERE),
    Word("place", "position, index, address, path", _NOWHERE),
    # The transport is a link, and so is a file that points to another.
    Word("link", "chain_hash, connection, session", r"^drivers/|^gateway/pol|^simulator/serve"),
)
# In documents and in what pages show.  new: for the fault's text.
PHRASES = (
    Word(r"\bcoarsen(s|ed|ing)?\b", "downsample", r"^docs/adr/|^CHANGELOG"),  # decisions stay
    Word(r"\banew\b", "again", r"^docs/adr/|^CHANGELOG"),
    Word(r"\bmend(s|ed|ing)?\b", "fix", r"^docs/adr/|^CHANGELOG"),
    Word(r"\ball is well\b", "OK", r"^docs/adr/|^CHANGELOG"),
    Word(r"\bsecond reader\b", "cross-check", r"^docs/adr/|^CHANGELOG"),
)
_QUOTED = re.compile(r"`[^`]*`|\]\([^)]*\)")    # names of events and files keep theirs


def type_names(tree):
    """Yield (name, node) of each class, namedtuple and alias at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, node
        elif (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
              and _is_type(node.targets[0].id, node.value)):
            yield node.targets[0].id, node


def check_names(source):
    """Yield a fault for every name of product code that an agreed word has replaced."""
    if not source.room:
        return
    named = set()
    for node in ast.walk(source.tree):
        for name in _given(node):
            word = _REPLACED.get(name.lstrip("_"))
            if word is None or (name, node.lineno) in named:
                continue
            named.add((name, node.lineno))
            if not re.search(word.unless, source.path):
                yield fault(source, node, f"{name}: the word is {word.new}")


def check_type_names(sources):
    """Yield a fault for every type name of the product that another file has already."""
    owners = {}
    for source in sources:
        for name, node in type_names(source.tree) if source.room else ():
            first = owners.setdefault(name, source.path)
            if first != source.path:
                yield fault(source, node, f"type {name} stands in {first} already")


def check_phrases(root):
    """Yield a fault for each line of a document with a word that was replaced."""
    for path in sorted([*Path(root).glob("*.md"), *Path(root).glob("docs/**/*.md")]):
        name = path.relative_to(root).as_posix()
        words = [word for word in PHRASES if not re.search(word.unless, name)]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            plain = _QUOTED.sub("", line)
            for word in words:
                found = re.search(word.old, plain, re.IGNORECASE)
                yield from [f"{name}:{number}: {found[0]}: the word is {word.new}"] if found else ()


def _given(node):
    """Return the names that a node of the tree gives to something: definitions, not uses."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("namedtuple", "NamedTuple"):
        return [field.value for field in ast.walk(node)
                if isinstance(field, ast.Constant) and isinstance(field.value, str)]
    return []


def _is_type(name, value):
    """Tell whether a module's `name = value` makes a type; Name = ... in capitals is none."""
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") in ("namedtuple", "NamedTuple")
    return bool(re.match(r"[A-Z]\w*[a-z]", name)) and isinstance(value, ast.Subscript | ast.BinOp)


_REPLACED = {word.old: word for word in NAMES}
