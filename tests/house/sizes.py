"""What fits on a screen: sizes of files, lines and functions, parameters, nesting, docstrings."""

import ast

from tests.house.source import fault, functions

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
LINE_MAX = 100
PARAMETERS_MAX = 5
NESTING_MAX = 3
_BLOCKS = (
    ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar,
    ast.Match,
)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def check_sizes(source):
    """Yield faults of length: file, line, function."""
    lines = source.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield fault(source, 1, f"{len(lines)} lines; the limit is {FILE_LINES_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            yield fault(source, number, f"line of {len(line)} characters; limit {LINE_MAX}")
    for node in functions(source.tree):
        length = node.end_lineno - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield fault(source, node, f"{node.name} has {length} lines; limit {FUNCTION_LINES_MAX}")


def check_shape(source):
    """Yield faults of parameter count and nesting depth."""
    for node in functions(source.tree):
        count = _parameters(node)
        if count > PARAMETERS_MAX:
            yield fault(source, node, f"{node.name} has {count} parameters; limit {PARAMETERS_MAX}")
        depth = _depth(node.body)
        if depth > NESTING_MAX:
            yield fault(source, node, f"{node.name} nests {depth} deep; limit {NESTING_MAX}")


def check_docstrings(source):
    """Yield a fault for a module, public class or public function without a docstring.

    Test functions need none: their names are sentences.
    """
    is_helper = source.path.startswith(("tests/support/", "tests/house/"))
    if not source.room and not is_helper:
        return
    if not ast.get_docstring(source.tree):
        yield fault(source, 1, "the module has no docstring")
    yield from _undocumented(source, source.tree.body)


def _undocumented(source, body):
    for node in body:
        if not isinstance(node, (*_FUNCTION, ast.ClassDef)) or node.name.startswith("_"):
            continue
        if node.name.startswith("test_") or _is_repetition(node):
            continue
        if not ast.get_docstring(node):
            yield fault(source, node, f"{node.name} has no docstring")
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(source, node.body)


def _is_repetition(node):
    """Tell setters and overloads: their docstring stands at the first definition."""
    names = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
    return bool(names & {"setter", "deleter", "overload"})


def _parameters(node):
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in ("self", "cls"):
        named = named[1:]
    stars = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return len(named) + len(arguments.kwonlyargs) + len(stars)


def _depth(body):
    """Return how many blocks stand inside one another; a nested function starts again at 0."""
    return max((_depth_of(node) for node in body), default=0)


def _depth_of(node):
    if isinstance(node, (*_FUNCTION, ast.ClassDef)) or not isinstance(node, _BLOCKS):
        return 0
    inner = [_depth(part) for part in _bodies(node)]
    # `elif` reads as one more branch, not as one more level.
    chain = getattr(node, "orelse", [])
    is_elif = isinstance(node, ast.If) and len(chain) == 1 and isinstance(chain[0], ast.If)
    tail = _depth(chain) if is_elif else 1 + _depth(chain)
    return max(1 + max(inner, default=0), tail)


def _bodies(node):
    if isinstance(node, ast.Match):
        return [case.body for case in node.cases]
    bodies = [node.body]
    bodies += [handler.body for handler in getattr(node, "handlers", [])]
    bodies.append(getattr(node, "finalbody", []))
    return bodies
