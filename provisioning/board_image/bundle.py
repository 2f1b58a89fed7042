"""One module out of many: on a board every module, import and global name costs heap.

`merge` writes the shaken modules into one text: each name of a module's own level becomes one that
the text holds as an attribute anyway (a name costs heap once, however many things have it), or a
number; imports among the modules vanish, imports of others stand once at the top.  What only a
start needs goes into a text of its own, which the board forgets afterwards.

Lines stay findable: line n of the k-th module stands in line 1000 k + n (`origin`).
"""

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Mapping

from provisioning.board_image import minify
from provisioning.board_image.minify import LINE, Edit, blank

LINES = 1000                    # a file of ours has at most 400
CORE, START = "core", "start"   # the two texts: for good, and what a start needs
QualifiedName = tuple[str, str]           # (module, name); name "" = the module itself
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


class BundleSource:
    """One module: its statements, and which name of any module stands at which place."""

    def __init__(self, name: str, path: str, text: str) -> None:
        """name: dotted.  path: relative, for `origin`.  Raises SyntaxError."""
        self.name, self.path, self.text = name, path, text
        self.tree = ast.parse(text)
        self.is_package = path.endswith("__init__.py")
        self.imports: dict[str, QualifiedName] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = self._origin(node, alias)
        self.bound = {name for node in self.tree.body for name in bound_names(node)}

    def _origin(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> QualifiedName:
        if isinstance(node, ast.Import):
            return alias.name, ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package] if node.level else []
        return ".".join([*parts, *([node.module] if node.module else [])]), alias.name


def bound_names(node: ast.AST) -> list[str]:
    """Return the names that a statement binds at its own level, imports left out."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    names = [node.name] if isinstance(node, ast.ExceptHandler) and node.name else []
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        names.append(node.id)
    if not isinstance(node, Function | Comprehension):
        for child in ast.iter_child_nodes(node):
            names += bound_names(child)
    return names


def global_names(node: ast.AST, hidden: frozenset[str] = frozenset()) -> Iterator[ast.Name]:
    """Yield the Name nodes below a node that mean the module's level."""
    inner = hidden
    if isinstance(node, ast.Name):
        if node.id not in hidden:
            yield node
        return
    if isinstance(node, Function):
        body: list[ast.AST] = [*node.body] if isinstance(node.body, list) else [node.body]
        yield from _each([node.args, *getattr(node, "decorator_list", [])], hidden)
        own = {name for part in body for name in bound_names(part)}
        own |= {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
        yield from _each(body, hidden | own)
        return
    if isinstance(node, Comprehension):
        inner = hidden | {name for part in node.generators for name in bound_names(part.target)}
        yield from global_names(node.generators[0].iter, hidden)
    if isinstance(node, ast.ClassDef):
        yield from _each([*node.bases, *node.decorator_list], hidden)
        own = {name for part in node.body for name in bound_names(part)}
        for part in node.body:
            is_method = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from global_names(part, hidden if is_method else hidden | own)
        return
    yield from _each(ast.iter_child_nodes(node), inner)


def _each(nodes: Iterable[ast.AST], hidden: frozenset[str]) -> Iterator[ast.Name]:
    for node in nodes:
        yield from global_names(node, hidden)


class Bundler:
    """All modules of a board.  Order: a module stands behind those that it imports."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """texts: source text by path ("gateway/core/codec/cbor.py")."""
        self._by_name: dict[str, BundleSource] = {}
        for path, text in texts.items():
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self._by_name[name] = BundleSource(name, path, text)
        self.order: list[BundleSource] = []
        for name in sorted(self._by_name):
            self._order_after_imports(self._by_name[name])
        keys = [(one.name, name) for one in self.order for name in sorted(one.bound)]
        self._names = {key: f"_{number}" for number, key in enumerate(keys)}
        self._foreign: dict[str, str] = {}      # import statement of others -> name it binds
        self._keep_class_names()

    def _order_after_imports(self, source: BundleSource) -> None:
        if source in self.order:
            return
        for there, what in source.imports.values():
            for name in (f"{there}.{what}", there):
                if name in self._by_name and self._by_name[name] is not source:
                    self._order_after_imports(self._by_name[name])
                    break
        if source not in self.order:
            self.order.append(source)

    def _keep_class_names(self) -> None:
        """Errors are known by the name of their class; so classes keep theirs."""
        seen: set[str] = set()
        for source in self.order:
            for node in source.tree.body:
                if isinstance(node, ast.ClassDef) and node.name not in seen:
                    seen.add(node.name)
                    self._names[source.name, node.name] = node.name

    def merged(self, start: QualifiedName, forgotten: tuple[QualifiedName, ...]) -> dict[str, str]:
        """Return the texts CORE and START.

        start: the function that runs the board; it keeps its name.  forgotten: what nothing
        uses after a start; it and the functions that only it uses are START.  Other classes
        are CORE: their instances stay.
        """
        self._names[start] = start[1]
        uses = self._uses()
        stay = [(source.name, node.name) for source in self.order for node in source.tree.body
                if isinstance(node, ast.ClassDef) and (source.name, node.name) not in forgotten]
        core = reached(uses, [start, *stay], set(forgotten))
        later = reached(uses, list(forgotten), core)
        self._reuse_names(core | later)
        wanted = {self._names[key] for one in later for key in uses.get(one, set()) & core}
        texts = {CORE: self._text(core, core), START: self._text(later, core)}
        lines = {CORE: [], START: [f"from {CORE} import {', '.join(sorted(wanted))}"]}
        for name, text in texts.items():
            lines[name] += [line for line, bound in sorted(self._foreign.items())
                            if bound in identifiers(text)]
        return {name: "; ".join(lines[name]) + text for name, text in texts.items()}

    def _reuse_names(self, kept: set[QualifiedName]) -> None:
        """Give numbered names that stay a name that is an attribute somewhere and nothing else."""
        trees = [source.tree for source in self.order]
        spare = {name for tree in trees for name in attributes(tree)} - {
            name for tree in trees for name in variables(tree)}
        free = iter(sorted(spare - set(dir(builtins)) - set(self._names.values())))
        for key in sorted(kept):
            if self._names[key].startswith("_"):
                self._names[key] = next(free, self._names[key])

    def origin(self, line: int) -> str:
        """Return "path:line" of a line of the merged texts; IndexError if there is none."""
        if line < LINES:
            raise IndexError(line)
        return f"{self.order[line // LINES - 1].path}:{line % LINES}"

    def _uses(self) -> dict[QualifiedName, set[QualifiedName]]:
        """Return which names of any module the definition of each name uses."""
        return {(source.name, name): {key for _, key in self._positions(source, node)}
                for source in self.order for node in source.tree.body
                for name in bound_names(node)}

    def _positions(self, source: BundleSource,
                   node: ast.AST) -> Iterator[tuple[ast.expr, QualifiedName]]:
        """Yield (node, what it means) for every use of a name of ours below a node."""
        parents = {id(child): above for above in ast.walk(node)
                   for child in ast.iter_child_nodes(above)}
        for name in global_names(node):
            key = self._meaning(source, name.id)
            above = parents.get(id(name))
            if key and not key[1] and isinstance(above, ast.Attribute):
                key = self._meaning(self._by_name[key[0]], above.attr)
                yield above, key or ("", "")
            elif key:
                yield name, key

    def _meaning(self, source: BundleSource, name: str) -> QualifiedName | None:
        """Return what a name of a module's level stands for, None if it is not ours."""
        if name in source.bound:
            return source.name, name
        if name not in source.imports:
            return None
        there, what = source.imports[name]
        module = f"{there}.{what}" if what else there
        if module in self._by_name:
            return module, ""
        return self._meaning(self._by_name[there], what) if there in self._by_name else None

    def _text(self, wanted: set[QualifiedName], core: set[QualifiedName]) -> str:
        """Return the text of the wanted names; a name of START in CORE is fetched when used."""
        out: list[str] = []
        for number, source in enumerate(self.order, 1):
            lines = self._rewritten(source, wanted | core).split("\n")
            for node in source.tree.body:
                names = {(source.name, name) for name in bound_names(node)}
                if not names & wanted:
                    blank(lines, node)
            if "".join(lines).strip():
                out += [""] * (LINES * number - len(out))
                out += [line.replace(LINE, str(LINES * number + at))
                        for at, line in enumerate(lines, 1)]
        return "\n".join(out)

    def _rewritten(self, source: BundleSource, known: set[QualifiedName]) -> str:
        """Return the text of a module in which every name of ours is the merged one."""
        edits: list[Edit] = []
        for node in source.tree.body:
            for spot, key in self._positions(source, node):
                new = self._names[key]
                if key not in known:
                    new = f'__import__("{START}").{new}'
                edits.append((spot.lineno, spot.col_offset, spot.end_col_offset or 0, new))
            if isinstance(node, minify.Definition):
                line, start = minify.name_place(node)
                new = self._names[source.name, node.name]
                edits.append((line, start, start + len(node.name), new))
        lines = minify.apply(source.text, edits).split("\n")
        for below in ast.walk(source.tree):
            if isinstance(below, ast.Import | ast.ImportFrom):
                self._note_foreign(source, below)
                blank(lines, below)
        return "\n".join(lines)

    def _note_foreign(self, source: BundleSource, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            there, what = source.imports[name]
            if there not in self._by_name and f"{there}.{what}" not in self._by_name:
                one = ast.Import([alias]) if not what else ast.ImportFrom(there, [alias], 0)
                self._foreign[ast.unparse(one)] = name


def attributes(tree: ast.AST) -> Iterator[str]:
    """Yield the public names of attributes and methods in a text, as they are used."""
    return (node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and not node.attr.startswith("_"))


def variables(tree: ast.AST) -> Iterator[str]:
    """Yield every name in a text that may stand for a thing without a dot before it."""
    methods = {id(part) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
               for part in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.ExceptHandler | minify.Definition):
            if node.name and id(node) not in methods:
                yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def reached(uses: Mapping[QualifiedName, set[QualifiedName]], begin: list[QualifiedName],
            border: set[QualifiedName]) -> set[QualifiedName]:
    """Return what names reach by their uses, without going into the border."""
    found: set[QualifiedName] = set()
    todo = list(begin)
    while todo:
        key = todo.pop()
        if key not in found and key not in border:
            found.add(key)
            todo += uses.get(key, ())
    return found


def identifiers(text: str) -> set[str]:
    """Return every name that stands in a text."""
    return set(re.findall(r"\w+", text))
