"""Source text without types: annotations cost a board image bytes and tell the board nothing.

The portable rooms are annotated in one form (docs/adr/0015-types-in-portable-rooms.md):
annotations, `if TYPE_CHECKING:` blocks without an else, and `NamedTuple("Name", [("field", type),
...])`.  What is left is what MicroPython would have executed, and lines keep their numbers.
"""

import ast
from collections.abc import Iterator

TYPES = "gateway.core.types"            # the one module that the names of types come from
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Cut = tuple[int, int, str]              # first byte, end byte, new text


def untyped(text: str) -> str:
    """Return a module's text without annotations and without what only a type checker reads."""
    tree = ast.parse(text)
    source = _Bytes(text)
    cuts: list[Cut] = []
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            cuts += _signature(source, node)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            start, end = source.end(node.target), source.end(node.annotation)
            cuts += [(start, end, ""), source.blank_lines(start, end, source.end(node))]
        elif isinstance(node, ast.Call) and _name(node.func) == "NamedTuple":
            cuts.append(source.replaced(node, _namedtuple(node)))
        elif isinstance(node, ast.ImportFrom) and node.module == TYPES:
            is_needed = any(alias.name == "NamedTuple" for alias in node.names)
            new = "from collections import namedtuple" if is_needed else ""
            cuts.append(source.replaced(node, new))
        cuts += _emptied(source, node)
    return source.cut(cuts)


def _signature(source: "_Bytes", node: FunctionNode) -> Iterator[Cut]:
    """Yield the cuts that take the annotations out of a function's head."""
    given = node.args
    for arg in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg):
        if arg is not None and arg.annotation is not None:
            start = source.start(arg) + len(arg.arg.encode())
            end = source.end(arg.annotation)
            yield start, end, "\n" * source.data.count(b"\n", start, end)
    if node.returns is not None:
        end = source.end(node.returns)
        start = source.data.rindex(b"->", 0, source.start(node.returns))
        start = len(source.data[:start].rstrip(b" "))
        yield start, end, ""
        yield source.blank_lines(start, end, source.data.index(b":", end) + 1)


def _emptied(source: "_Bytes", node: ast.AST) -> Iterator[Cut]:
    """Yield the cuts that take whole statements out of the body of a node."""
    for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
        if not isinstance(body, list):
            continue
        gone = [one for one in body if _is_for_the_checker(one)]
        for one in gone:
            is_only = len(gone) == len(body) and one is body[0] and not isinstance(node, ast.Module)
            yield source.replaced(one, "pass" if is_only else "")


def _is_for_the_checker(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return _name(node.test) == "TYPE_CHECKING" and not node.orelse
    return isinstance(node, ast.AnnAssign) and node.value is None


def _namedtuple(node: ast.Call) -> str:
    """Return the call that makes the same named tuple without the types of its fields."""
    name, fields = node.args
    names = [ast.unparse(field.elts[0]) for field in getattr(fields, "elts", [])]
    return f"namedtuple({ast.unparse(name)}, ({', '.join(names)},))"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


class _Bytes:
    """A text by byte offsets, as the syntax tree counts."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self._lines = [0]
        for line in self.data.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def start(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def replaced(self, node: ast.expr | ast.stmt, new: str) -> Cut:
        """Return the cut that puts a text in the place of a node, with as many lines."""
        start, end = self.start(node), self.end(node)
        return start, end, new + "\n" * self.data.count(b"\n", start, end)

    def blank_lines(self, start: int, end: int, at: int) -> Cut:
        """Return the cut that adds at `at` as many line ends as stand between start and end."""
        return at, at, "\n" * self.data.count(b"\n", start, end)

    def cut(self, cuts: list[Cut]) -> str:
        """Return the text with the cuts made; a cut inside another one is part of it."""
        out, at = b"", 0
        for start, end, new in sorted(cuts, key=lambda one: (one[0], -one[1])):
            if start >= at:
                out += self.data[at:start] + new.encode()
                at = end
        return (out + self.data[at:]).decode()
