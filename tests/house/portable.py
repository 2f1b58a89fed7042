"""The portable dialect: what MicroPython refuses, and what it accepts with another result."""

import ast
import re

from tests.house.source import (
    ROOMS,
    fault,
    functions,
    imported_names,
    is_portable,
    is_portable_test,
    room_of,
)
from tests.house.types_of_rooms import CHECKERS, DOOR, for_the_checker

STDLIB = {"struct", "hashlib", "binascii", "collections"}

REFUSED_NODES = {
    ast.Match: "match",
    ast.TryStar: "except*",
    ast.Assert: "assert (board builds drop it: raise Bug)",
}
# Attribute names that exist on CPython only, whatever object they are asked of.
REFUSED_ATTRIBUTES = {
    "hexdigest", "zfill", "ljust", "rjust", "removeprefix", "removesuffix", "bit_length",
    "bit_count", "_replace", "_fields", "_asdict", "tobytes", "cast", "isalnum", "title",
    "format_map", "iter_unpack", "Struct", "maketrans", "translate", "defaultdict", "Counter",
    "ChainMap", "__cause__", "fsync", "truncate", "as_integer_ratio",
}
REFUSED_NAMES = {
    "ConnectionError": "OSError", "TimeoutError": "OSError", "FileNotFoundError": "OSError",
    "PermissionError": "OSError", "BrokenPipeError": "OSError",
    "UnicodeDecodeError": "UnicodeError", "ExceptionGroup": "a list",
    "float": "whole numbers", "complex": "whole numbers", "round": "integer arithmetic",
    "open": "a store passed in", "print": "a value returned", "input": "an argument",
    "defaultdict": "dict.setdefault", "Counter": "a dict", "ascii": "repr",
}
REFUSED_METHODS = {"__init_subclass__", "__new__", "__format__", "__set_name__"}
STRUCT_CALLS = {"pack", "unpack", "pack_into", "unpack_from", "calcsize"}
_STRUCT_REFUSED = re.compile(r"\d+x|[?nNP]")
_ENCODER = re.compile(r"^_?(encode|pack|seal|sign|hash|digest)")


def check_dialect(source):
    """Yield a fault for everything in a portable file that one interpreter does otherwise."""
    if not is_portable(source):
        return
    for node in ast.walk(source.tree):
        place = node.iter if isinstance(node, ast.comprehension) else node
        for why in _refusals(node):
            yield fault(source, place, f"portable dialect: {why}")
    for node in functions(source.tree):
        yield from _check_function(source, node)


def _refusals(node):
    for kind, what in REFUSED_NODES.items():
        if isinstance(node, kind):
            yield f"no {what}"
    for check in (_numbers, _literals, _slices, _names, _calls, _iteration, _classes):
        yield from check(node)


def _numbers(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        yield f"no float literal {node.value} (boards compute in single precision)"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        yield "no / (it makes a float: use //)"


def _literals(node):
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        is_value = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if is_value and any(isinstance(item, ast.Starred) for item in node.elts):
            yield "no star inside a literal"
    if isinstance(node, ast.Dict) and None in node.keys:
        yield "no ** inside a dict literal"
    if isinstance(node, ast.JoinedStr):
        for before, value in zip(node.values, node.values[1:], strict=False):
            if _is_debug_field(before, value):
                yield "no f'{x=}'"
    if isinstance(node, ast.Raise) and node.cause is not None:
        yield "no raise ... from (put the reason into the message)"


def _is_debug_field(before, value):
    return (
        isinstance(before, ast.Constant)
        and isinstance(value, ast.FormattedValue)
        and value.conversion == ord("r")
        and str(before.value).endswith(ast.unparse(value.value) + "=")
    )


def _slices(node):
    if isinstance(node, ast.Slice) and node.step is not None:
        yield "no step in a slice (bytes have none on boards)"
    if isinstance(node, ast.Delete):
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                yield "no del of a slice (rebind the rest)"


def _names(node):
    if isinstance(node, ast.Attribute):
        if node.attr in REFUSED_ATTRIBUTES:
            yield f"no .{node.attr}"
        if node.attr == "error" and isinstance(node.value, ast.Name) and node.value.id == "struct":
            yield "no struct.error (check the length first)"
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in REFUSED_NAMES:
        yield f"no {node.id}: {REFUSED_NAMES[node.id]} instead"


def _calls(node):
    if not isinstance(node, ast.Call):
        return
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    keywords = {k.arg for k in node.keywords}
    if name == "from_bytes" and (len(node.args) != 2 or keywords):
        yield "int.from_bytes takes (bytes, 'big') and no more"
    if name == "namedtuple" and keywords:
        yield "namedtuple takes a name and a tuple of names, no keywords"
    if name == "deque" and (len(node.args) != 2 or keywords):
        yield "deque takes ((), limit): boards have no unbounded one"
    if name == "decode" and "errors" in keywords:
        yield "decode has no errors= on boards"
    if name in STRUCT_CALLS and node.args and isinstance(node.args[0], ast.Constant):
        text = node.args[0].value
        if isinstance(text, str) and _STRUCT_REFUSED.search(text):
            yield f"struct format {text!r} is not known on boards"


def _iteration(node):
    if isinstance(node, ast.For | ast.comprehension):
        over = node.iter
        called = getattr(over.func, "id", "") if isinstance(over, ast.Call) else ""
        if isinstance(over, ast.Set | ast.SetComp) or called in ("set", "frozenset"):
            yield "no iteration over a set (its order differs)"
    if isinstance(node, ast.comprehension) and node.is_async:
        yield "no async comprehension"


def _classes(node):
    if isinstance(node, ast.ClassDef) and node.keywords:
        yield f"class {node.name} has keywords (no metaclass on boards)"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name in REFUSED_METHODS:
            yield f"no {node.name}"
        if node.args.posonlyargs:
            yield f"{node.name} has positional-only parameters"


def _check_function(source, node):
    inner = list(ast.walk(node))
    if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(n, ast.Yield) for n in inner):
        yield fault(source, node, "portable dialect: no async generator")
    if not _ENCODER.match(node.name):
        return
    calls = [n for n in inner if isinstance(n, ast.Call)]
    sorts = any(getattr(c.func, "id", getattr(c.func, "attr", "")) in ("sorted", "sort")
                for c in calls)
    for loop in (n for n in inner if isinstance(n, ast.For | ast.comprehension)):
        over = loop.iter
        attribute = getattr(over.func, "attr", "") if isinstance(over, ast.Call) else ""
        if attribute in ("items", "keys", "values") and not sorts:
            yield fault(source, over, f"portable dialect: {node.name} emits in dict order; sort it")


def check_portable_imports(source):
    """Yield a fault for every import that boards do not have, in portable files and tests."""
    if not is_portable(source) and not is_portable_test(source.path):
        return
    refusal = _refusal_in_test if is_portable_test(source.path) else _refusal_in_room
    hidden = for_the_checker(source.tree)
    for node in ast.walk(source.tree):
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        if is_import and not _is_for_types(source, node, hidden):
            refusals = {refusal(name, name.split(".")[0]) for name in imported_names(node)}
            yield from (fault(source, node, why) for why in sorted(refusals - {None}))


def _is_for_types(source, node, hidden):
    """Tell whether an import is one that only a type checker sees, or the door of those."""
    is_hidden = id(node) in hidden and getattr(node, "module", "") in CHECKERS
    return is_hidden or source.path == DOOR


def _refusal_in_room(name, top):
    return None if top in STDLIB or top in ROOMS else f"this file is portable; {top} is not"


def _refusal_in_test(name, top):
    if top in STDLIB or name.startswith("tests.support."):
        return None
    if top in ROOMS and room_of(name) in ("gateway.core", "drivers"):
        return None
    return f"this test runs on both interpreters; {name} does not (name it *_cpython or *_props)"
