"""Source text for boards: whole-number constants as literals, private names as short ones.

Each name costs a board some forty bytes of heap, wherever the code lies.  Constants of other
modules and of the own one are written out, so that nothing has to hold them; names that begin
with one underscore are numbered within their module.  Lines keep their numbers.  Nothing here
knows what a name is for; what it cannot prove it leaves alone.
"""

import ast
from collections.abc import Callable, Iterator, Mapping

LINE = "__line__"               # stands for the number of its line in the merged text
INLINED_MAX = 1 << 30           # larger numbers are objects: better one than many
Edit = tuple[int, int, int, str]        # line from 1, first byte, end byte, new text
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Lookup = Callable[[str, str], int | None]       # (module, name) -> constant


def constants(tree: ast.Module) -> dict[str, int]:
    """Return the upper-case names that a module sets once to a small whole number."""
    found: dict[str, int] = {}
    for node in tree.body:
        for name, value in _pairs(node):
            number = _number(value)
            if isinstance(name, ast.Name) and name.id.isupper() and number is not None:
                found[name.id] = number
    return found


def _pairs(node: ast.stmt) -> list[tuple[ast.expr, ast.expr]]:
    """Return (target, value) of an assignment, those of `A, B = 1, 2` one by one."""
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return []
    target = node.targets[0]
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        return list(zip(target.elts, node.value.elts, strict=False))
    return [(target, node.value)]


def without_rows(text: str, table: str, unwanted: Callable[[int, ast.expr], bool]) -> str:
    """Return a module's text without some rows of a dict literal whose keys are numbers."""
    for node in ast.parse(text).body:
        if not isinstance(node, ast.Assign) or bound(node) != table:
            continue
        if not isinstance(node.value, ast.Dict):
            continue
        rows = [(key, value) for key, value in zip(node.value.keys, node.value.values, strict=True)
                if not (isinstance(key, ast.Constant) and isinstance(key.value, int)
                        and unwanted(key.value, value))]
        node.value.keys, node.value.values = [row[0] for row in rows], [row[1] for row in rows]
        lines = text.split("\n")
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        lines[first:last] = [ast.unparse(node)] + [""] * (last - first - 1)
        return "\n".join(lines)
    return text


def bound(node: ast.Assign) -> str:
    """Return the one name that an assignment binds, "" for any other."""
    target = node.targets[0]
    return target.id if len(node.targets) == 1 and isinstance(target, ast.Name) else ""


def _number(node: ast.expr) -> int | None:
    """Return the value of an expression of whole-number literals, None for any other."""
    if not all(isinstance(part, ast.BinOp | ast.UnaryOp | ast.Constant | ast.operator
                          | ast.unaryop) for part in ast.walk(node)):
        return None
    try:
        value = eval(compile(ast.Expression(node), "constant", "eval"), {"__builtins__": {}})
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    is_small = isinstance(value, int) and not isinstance(value, bool)
    return value if is_small and abs(value) < INLINED_MAX else None


def inline(text: str, module: tuple[str, Mapping[str, tuple[str, str]]], lookup: Lookup) -> str:
    """Return a module's text with constants written out.

    module: (its name, name here -> (module, name there or "")).  lookup: what they stand for.
    """
    tree = ast.parse(text)
    here, imports = module
    own = {name: lookup(here, name) for name in constants(tree)}
    edits: list[Edit] = []
    for node in ast.walk(tree):
        value: int | None = None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            value = own.get(node.id)
            if value is None and node.id in imports:
                value = lookup(*imports[node.id])
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            there = imports.get(node.value.id)
            value = lookup(".".join(filter(None, there)), node.attr) if there else None
        if value is not None and isinstance(node, ast.expr):
            written = f"({value})" if value < 0 else str(value)
            edits.append((node.lineno, node.col_offset, node.end_col_offset or 0, written))
    return apply(text, edits)


def without_texts(text: str, errors: frozenset[str]) -> str:
    """Return a module's text in which errors carry the line they were made in, not a text.

    errors: names of classes.  The first argument becomes the name LINE, which bundle.py replaces
    by a number; lines keep their numbers.
    """
    edits: list[Edit] = []
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                and node.func.id in errors and node.args and _is_text(node.args[0])):
            edits += _replaced(lines, node.args[0], LINE)
    return apply(text, edits)


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        node = node.left
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _replaced(lines: list[str], node: ast.expr, new: str) -> Iterator[Edit]:
    """Yield the edits that replace an expression of several lines; its lines stay, empty."""
    first, last = node.lineno, node.end_lineno or node.lineno
    for line in range(first, last + 1):
        start = node.col_offset if line == first else 0
        end = node.end_col_offset if line == last else len(lines[line - 1].encode())
        yield line, start, end or 0, new if line == first else ""


def private_names(text: str) -> set[str]:
    """Return the names of a module that begin with one underscore."""
    return {name for *_, name in _positions(ast.parse(text)) if _is_private(name)}


def foreign_names(text: str) -> set[str]:
    """Return the private attributes that a module uses of anything but self and cls."""
    return {node.attr for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute) and _is_private(node.attr)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))}


def minify(text: str, kept: set[str]) -> str:
    """Return a module's text with its private names numbered; those in `kept` stay."""
    names = sorted(private_names(text) - kept)
    short = {name: f"_{number}" for number, name in enumerate(names)}
    edits = [(line, start, start + len(name), short[name])
             for line, start, name in _positions(ast.parse(text)) if name in short]
    return apply(text, edits)


def keywords(text: str) -> set[str]:
    """Return the argument names that calls in a module spell out."""
    return {node.arg for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.keyword) and node.arg}


def minify_arguments(text: str, kept: set[str]) -> str:
    """Return a module's text with the arguments of its functions numbered, but for `kept`."""
    tree = ast.parse(text)
    fixed = kept | {"self", "cls"} | _names_at_top(tree)
    edits: list[Edit] = []
    for function in _outermost(tree):
        inside = list(ast.walk(function))
        taken = {handler.name for handler in inside if isinstance(handler, ast.ExceptHandler)}
        names = {node.arg for node in inside if isinstance(node, ast.arg)} - fixed - taken
        short = {name: f"a{number}" for number, name in enumerate(sorted(names))}
        edits += [(node.lineno, node.col_offset, node.col_offset + len(name), short[name])
                  for node in inside for name in [_local_name(node)]
                  if name in short and isinstance(node, ast.Name | ast.arg)]
    return apply(text, edits)


def _local_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.arg if isinstance(node, ast.arg) else ""


def _names_at_top(tree: ast.Module) -> set[str]:
    """Return what a module's own level binds, imports inside functions included."""
    names = {name for node in tree.body if isinstance(node, ast.Assign)
             for target in node.targets for part in ast.walk(target)
             for name in [_local_name(part)]}
    names |= {node.name for node in tree.body
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return names | {alias.asname or alias.name for node in ast.walk(tree)
                    if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}


def _outermost(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the functions of a module and the methods of its classes, not what is in them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _outermost(child)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _positions(tree: ast.Module) -> Iterator[tuple[int, int, str]]:
    """Yield (line, first byte, name) of every definition and use of a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.col_offset, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.col_offset, node.arg
        elif isinstance(node, ast.Attribute):
            start = (node.end_col_offset or 0) - len(node.attr)
            yield node.end_lineno or node.lineno, start, node.attr
        elif isinstance(node, Definition):
            yield *name_place(node), node.name


def name_place(node: Definition) -> tuple[int, int]:
    """Return (line, first byte) of the name that a definition gives."""
    word = {ast.FunctionDef: "def ", ast.AsyncFunctionDef: "async def ", ast.ClassDef: "class "}
    return node.lineno, node.col_offset + len(word[type(node)])


def is_docstring(node: ast.stmt) -> bool:
    """Return True for a statement that is nothing but a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def blank(lines: list[str], node: ast.stmt | ast.expr) -> None:
    """Empty the lines of a statement or of a table's row, decorators included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    for number in range(first - 1, node.end_lineno or node.lineno):
        lines[number] = ""


def apply(text: str, edits: list[Edit]) -> str:
    """Return the text with edits made; none may overlap another."""
    lines = [line.encode() for line in text.split("\n")]
    for line, start, end, new in sorted(set(edits), reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:start] + new.encode() + old[end:]
    return b"\n".join(lines).decode()
