"""Types: the one form that annotations have in portable rooms, and how often nothing is typed.

MicroPython parses annotations and evaluates none; everything else that has to do with types is
code to it.  So portable files import `TYPE_CHECKING` and `NamedTuple` from gateway/core/types.py,
and the board's image builder takes exactly this form out again
(docs/adr/0015-types-in-portable-rooms.md).
"""

import ast

from tests.house.source import fault, is_portable

DOOR = "gateway/core/types.py"
MODULE, NAMES = "gateway.core.types", {"TYPE_CHECKING", "NamedTuple"}
CHECKERS = ("typing", "collections.abc")        # modules open to `if TYPE_CHECKING:` only
ANY_MAX = 87           # `Any` in the product: where a library or JSON gives nothing better


def blocks(tree):
    """Return the `if TYPE_CHECKING:` statements of a module's own level."""
    return [node for node in tree.body if isinstance(node, ast.If) and _name(node.test) ==
            "TYPE_CHECKING"]


def for_the_checker(tree):
    """Return the ids of all nodes inside those statements."""
    return {id(below) for block in blocks(tree) for node in block.body for below in ast.walk(node)}


def check_types(source):
    """Yield a fault for every use of types in a portable file that a board would stumble over."""
    if not (is_portable(source) or source.room == "gateway.micro") or source.path == DOOR:
        return
    hidden, names = for_the_checker(source.tree), set()
    for block in blocks(source.tree):
        names |= {name for node in block.body for name in _bound(node)}
        for node in block.body:
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef | ast.Assign):
                yield fault(source, node, "portable types: imports, aliases and protocols only")
        if block.orelse:
            yield fault(source, block, "portable types: if TYPE_CHECKING has no else")
    annotations = _annotations(source.tree)
    for node in ast.walk(source.tree):
        if id(node) not in hidden and id(node) not in annotations:
            for why in _refusals(node, names):
                yield fault(source, node, f"portable types: {why}")


def _refusals(node, names):
    if isinstance(node, ast.Name) and node.id in names:
        yield f"{node.id} exists for the type checker only"
    if isinstance(node, ast.ImportFrom) and node.module == MODULE:
        for alias in node.names:
            if alias.name not in NAMES:
                yield f"{alias.name} belongs into if TYPE_CHECKING"
    if isinstance(node, ast.ImportFrom) and node.module == "collections.abc":
        yield f"{node.module} belongs into if TYPE_CHECKING"
    if isinstance(node, ast.Call) and _name(node.func) == "namedtuple":
        yield "namedtuple knows no types: NamedTuple"
    if isinstance(node, ast.Call) and _name(node.func) == "NamedTuple" and not _is_plain(node):
        yield "NamedTuple takes a name and pairs of a name and a type, which is a name or quoted"


def _is_plain(node):
    if len(node.args) != 2 or node.keywords or not isinstance(node.args[1], ast.List):
        return False
    return all(
        isinstance(field, ast.Tuple) and len(field.elts) == 2
        and isinstance(field.elts[0], ast.Constant)
        and isinstance(field.elts[1], ast.Name | ast.Constant) for field in node.args[1].elts)


def _annotations(tree):
    """Return the ids of all nodes inside annotations."""
    found = [node.annotation for node in ast.walk(tree)
             if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation]
    found += [node.returns for node in ast.walk(tree)
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns]
    return {id(below) for node in found for below in ast.walk(node)}


def _bound(node):
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.ClassDef):
        return [node.name]
    return [_name(target) for target in getattr(node, "targets", [])]


def _name(node):
    return node.id if isinstance(node, ast.Name) else ""


def check_any(every):
    """Yield a fault if the product says `Any` more often than it once could do with."""
    counts = {source.path: any_count(source.tree) for source in every if source.room}
    total = sum(counts.values())
    if total > ANY_MAX:
        worst = max(sorted(counts), key=counts.get)
        yield f"{worst}:1: Any stands {total} times in the product, at most {ANY_MAX}"


def any_count(tree):
    """Return how often `Any` is a type in a module, quoted annotations included."""
    count = 0
    for node in ast.walk(tree):
        count += isinstance(node, ast.Name) and node.id == "Any"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any" in node.value:
            count += _quoted_count(node.value)
    return count


def _quoted_count(text):
    try:
        return any_count(ast.parse(text, mode="eval"))
    except SyntaxError:
        return 0
