"""What of the portable rooms a board needs: the rest is left out of its image.

From the modules a board starts with, every definition that can be reached by name is kept;
other functions, classes, methods, constants and imports are blanked out.  Lines keep their
numbers, so a traceback of a board names the line of the repository.  Rules, all on the safe
side: a method is kept if anything anywhere uses an attribute of that name; statements that
are no definition stay.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from provisioning.board_image.minify import (
    Definition,
    blank,
    constants,
    foreign_names,
    inline,
    is_docstring,
    keywords,
    minify,
    minify_arguments,
    without_texts,
)
from provisioning.board_image.untype import untyped

Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


class TreeModule:
    """One source file: what each of its names is, and what of it is kept so far."""

    def __init__(self, name: str, text: str) -> None:
        """name: dotted, as imported.  Raises SyntaxError."""
        self.name, self.text, self.tree = name, text, ast.parse(text)
        self.package = name.rpartition(".")[0]
        self.imports: dict[str, tuple[str, str]] = {}   # name here -> (module, name there)
        self.bound: dict[str, ast.stmt] = {}            # name -> statement that defines it
        self.kept: set[str] = set()
        self.always: list[ast.stmt] = []
        for node in self.tree.body:
            self._sort(node)
        for below in ast.walk(self.tree):           # inside functions: the same, only later
            if isinstance(below, ast.Import | ast.ImportFrom):
                self._note_import(below)

    def _sort(self, node: ast.stmt) -> None:
        if isinstance(node, Definition):
            self.bound[node.name] = node
        elif names := bound_names(node):
            for name in names:
                self.bound[name] = node
        elif not is_docstring(node) and not isinstance(node, ast.Import | ast.ImportFrom):
            self.always.append(node)

    def _note_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self.imports[alias.asname or alias.name] = self._origin(node, alias)

    def _origin(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> tuple[str, str]:
        if isinstance(node, ast.Import):
            return alias.name, ""
        base = node.module or ""
        if node.level:
            parts = self.name.split(".")[: -node.level]
            base = ".".join([*parts, *([base] if base else [])])
        return base, alias.name


def bound_names(node: ast.stmt) -> list[str]:
    """Return the names a plain assignment defines, [] for any other statement."""
    if not isinstance(node, ast.Assign):
        return []
    names: list[str] = []
    for target in node.targets:
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        if not all(isinstance(part, ast.Name) for part in parts):
            return []
        names += [part.id for part in parts if isinstance(part, ast.Name)]
    return names


class TreeShaker:
    """Finds what is reachable from a start module among modules read on demand."""

    def __init__(self, root: Path, numbers: Mapping[str, int] | None = None,
                 textless: frozenset[str] = frozenset()) -> None:
        """root: the folder in which the rooms stand.  numbers: other values of constants, by
        "module.NAME".  textless: errors that carry a line number only."""
        self._root, self._textless = root, textless
        self.modules: dict[str, TreeModule] = {}
        self._numbers = numbers or {}
        self._constants: dict[str, dict[str, int]] = {}
        self._members: set[str] = set()         # attribute names used by anything kept
        self._seen: set[int] = set()            # statements and methods already walked
        self._todo: list[tuple[TreeModule, ast.AST]] = []

    def run(self, start: str) -> None:
        """Keep all of one module and what it reaches; may be called for several."""
        module = self._module(start)
        if module is None:
            raise FileNotFoundError(f"no module {start} below {self._root}")
        for name in [*module.bound, *module.imports]:
            self._keep(module, name)
        self._settle()

    def use(self, text: str) -> None:
        """Count every attribute name in a foreign source as used by somebody."""
        self._members |= {n.attr for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)}
        self._settle()

    def sources(self) -> Iterator[tuple[str, str]]:
        """Yield (path, text) of every module that is needed, packages included, sorted."""
        for name in sorted(self.modules):
            module = self.modules[name]
            path = self._path(name)
            if path is not None:
                yield path.relative_to(self._root).as_posix(), self._text(module)

    def short_sources(self) -> Iterator[tuple[str, str]]:
        """Yield as `sources` does, with private names shortened."""
        texts = dict(self.sources())
        taken: set[str] = set()         # private names used from elsewhere
        spelt: set[str] = set()         # arguments that a call spells out
        for text in texts.values():
            taken |= foreign_names(text)
            spelt |= keywords(text)
        for path, text in texts.items():
            yield path, minify_arguments(minify(text, taken), spelt)

    def _constant(self, module: str, name: str) -> int | None:
        if module not in self._constants:
            path = self._path(module)
            text = untyped(path.read_text(encoding="utf-8")) if path else ""
            found = constants(ast.parse(text))
            self._constants[module] = {
                key: self._numbers.get(f"{module}.{key}", value) for key, value in found.items()}
        return self._constants[module].get(name)

    def _path(self, name: str) -> Path | None:
        path = self._root / (name.replace(".", "/") + ".py")
        if not path.is_file():
            path = self._root / name.replace(".", "/") / "__init__.py"
        return path if path.is_file() else None

    def _module(self, name: str) -> TreeModule | None:
        """Return one of our modules, read at first use with its packages; else None."""
        if name in self.modules:
            return self.modules[name]
        path = self._path(name)
        if path is None or name.split(".")[0] not in ("gateway", "drivers"):
            return None
        if "." in name:
            self._module(name.rpartition(".")[0])
        text = without_texts(untyped(path.read_text(encoding="utf-8")), self._textless)
        text = inline(text, (name, TreeModule(name, text).imports), self._constant)
        module = self.modules[name] = TreeModule(name, text)
        self._todo += [(module, node) for node in module.always]
        return module

    def _keep(self, module: TreeModule, name: str) -> None:
        if name in module.kept:
            return
        if name in module.imports:
            module.kept.add(name)
            there, what = module.imports[name]
            if what and self._path(f"{there}.{what}"):      # a module out of a package
                self._module(f"{there}.{what}")
            elif (source := self._module(there)) is not None:
                self._keep(source, what)
        elif name in module.bound:
            module.kept.add(name)
            self._todo.append((module, module.bound[name]))

    def _settle(self) -> None:
        """Walk what is kept until nothing new is reached."""
        while True:
            while self._todo:
                self._walk(*self._todo.pop())
            before = len(self._seen)
            parts = [(module, part) for module, node in self._classes()
                     for part in self.live_parts(node)]
            self._todo = [pair for pair in parts if id(pair[1]) not in self._seen]
            if not self._todo and len(self._seen) == before:
                return

    def _classes(self) -> list[tuple[TreeModule, ast.ClassDef]]:
        return [(module, node) for module in self.modules.values()
                for name, node in module.bound.items()
                if name in module.kept and isinstance(node, ast.ClassDef)]

    def live_parts(self, node: ast.ClassDef) -> list[ast.stmt]:
        """Return the statements of a class body that are used, as far as is known now."""
        live: list[ast.stmt] = []
        for part in node.body:
            names = [part.name] if isinstance(part, Functions) else bound_names(part)
            if "__slots__" in names:            # boards ignore it, and pay for it
                continue
            if not names or any(n in self._members or n.startswith("__") for n in names):
                live.append(part)
        return live

    def _walk(self, module: TreeModule, node: ast.AST) -> None:
        """Note every name and attribute below a node; of a class only its head."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        tops: Iterable[ast.AST] = [node]
        if isinstance(node, ast.ClassDef):
            tops = [*node.bases, *node.decorator_list]
        for top in tops:
            for below in ast.walk(top):
                if isinstance(below, ast.Name):
                    self._keep(module, below.id)
                elif isinstance(below, ast.Attribute):
                    self._attribute(module, below)
                elif isinstance(below, ast.Constant) and isinstance(below.value, str):
                    self._members.add(below.value)          # getattr by a literal name

    def _attribute(self, module: TreeModule, node: ast.Attribute) -> None:
        self._members.add(node.attr)
        base = node.value
        if isinstance(base, ast.Name) and base.id in module.imports:
            there, what = module.imports[base.id]
            source = self._module(f"{there}.{what}" if what else there)
            if source is not None:
                self._keep(source, node.attr)

    def _text(self, module: TreeModule) -> str:
        lines = module.text.split("\n")
        for node in module.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                _reduce_import(lines, node, module.kept)
            elif isinstance(node, ast.ClassDef) and node.name in module.kept:
                self._reduce_class(lines, node)
            elif _names_of(node) and not set(_names_of(node)) & module.kept:
                blank(lines, node)
        return "\n".join(lines)

    def _reduce_class(self, lines: list[str], node: ast.ClassDef) -> None:
        live = self.live_parts(node)
        for part in node.body:
            if part not in live:
                blank(lines, part)
        if not [part for part in live if not is_docstring(part)]:
            lines[node.body[0].lineno - 1] = " " * (node.col_offset + 4) + "pass"
            for number in range(node.body[0].lineno, node.body[0].end_lineno or 0):
                lines[number] = ""


def _names_of(node: ast.stmt) -> list[str]:
    return [node.name] if isinstance(node, Definition) else bound_names(node)


def _reduce_import(lines: list[str], node: ast.Import | ast.ImportFrom, kept: set[str]) -> None:
    left = [alias for alias in node.names if (alias.asname or alias.name) in kept]
    if len(left) == len(node.names):
        return
    first = lines[node.lineno - 1]
    blank(lines, node)
    if left:
        node.names = left
        lines[node.lineno - 1] = first[: node.col_offset] + ast.unparse(node)
