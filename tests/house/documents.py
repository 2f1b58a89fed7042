"""References of documents, docstrings and comments: each leads to a section or file that exists.

A reference to a section names its document ("docs/formats.md section 6.9", "formats.md, 14",
'docs/formats.md, "Journal on flash"'); a bare "section 3" means the page it stands in, and in
code the one document that the file names.  Paths are those of the repository, whatever its
layout is: nothing here knows a folder by name.
"""

import ast
import fnmatch
import io
import re
import tokenize
from pathlib import PurePosixPath

_NUMBER = r"\d{1,2}(?:\.\d{1,2})*(?!\w|\.\d)"
_MORE = rf"(?:(?:\s*,\s*|\s*-\s*|\s+(?:and|to|or)\s+)(?:sections?\s+)?{_NUMBER})*"
_PAGE = r"(?P<page>(?:[\w.-]+/)*[\w-]+\.md)(?:\]\([^)]*\))?[`\")]?"
_NAMED = re.compile(rf"{_PAGE},?\s+(?:[Ss]ections?\s+)?(?P<numbers>{_NUMBER}{_MORE})")
_TITLED = re.compile(rf"{_PAGE},?\s+(?:section\s+{_NUMBER},\s+)?\"(?P<title>[^\"]+)\"")
_BARE = re.compile(rf"\b[Ss]ections?\s+(?P<numbers>{_NUMBER}{_MORE})")
# In a page with numbered sections: (6.4), (10.2).
_BRACKETED = re.compile(r"\((?P<numbers>\d{1,2}\.\d{1,2})[),]")
_OTHERS = re.compile(r"\b(RFC|ISO|IEC|EN|JCGM)\b[^.;:()]*$")    # a section of somebody else's page
_HEADING = re.compile(r"^#{1,6} +(?:(?P<number>\d+(?:\.\d+)*)\.? +)?(?P<title>.+?) *$", re.M)
_RUN_IN = re.compile(r"^\*\*(?:(?P<number>\d+\.\d+) )?(?P<title>[^*]+?)\.?\*\*", re.M)
_FENCED = re.compile(r"^```.*?^```", re.M | re.S)
_TICKED = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"(?<![\w./:<>{}$~-])[\w.*-]+(?:/[\w.*-]+)*/?")
_PLACEHOLDER = re.compile(r"(?:^|[/._-])[A-Z]{2,}(?:[/._-]|$)")
_MODULE = re.compile(r"python3? -m ([a-z_]+(?:\.[a-z_]+)*)")
_SOURCES = (".py", ".md", ".sql", ".cfg")       # such a name is always a file of ours


class Sections:
    """The sections of a page: numbers, and titles in lower case."""

    def __init__(self, text):
        found = [*_HEADING.finditer(text), *_RUN_IN.finditer(text)]
        self.numbers = {one["number"] for one in found if one["number"]}
        self.titles = {one["title"].lower() for one in found}


def faults(pages, modules, files):
    """Return one line per reference that leads nowhere.

    pages: {path: text} of the documents.  modules: {path: text} of Python files.  files: every
    path of the repository.
    """
    sections = {path: Sections(text) for path, text in pages.items()}
    found = []
    for path, text in pages.items():
        prose = _FENCED.sub("", text)
        found += _section_faults(path, _flat(prose), sections)
        for ticked in _TICKED.findall(prose):
            found += [f"{path}: {lost}" for lost in _lost(ticked, path, files)]
    for path, text in modules.items():
        for prose in _prose(text):
            found += [f"{path}: {lost}" for lost in _lost(prose, path, files)]
        found += _section_faults(path, _flat("\n".join(_prose(text))), sections)
    return found


def _section_faults(path, text, sections):
    taken = []
    for match in _NAMED.finditer(text):
        taken.append(match.span())
        page = _page(match["page"], path, sections)
        yield from _missing(path, page, match, sections)
    for match in _TITLED.finditer(text):
        page = _page(match["page"], path, sections)
        title = match["title"].lower().rstrip(".,")
        if page is not None and title not in sections[page].titles:
            yield f"{path}: {page} has no section \"{match['title']}\""
    own = _own_page(path, text, sections)
    bare = [*_BARE.finditer(text)]
    if path in sections and sections[path].numbers:
        bare += [*_BRACKETED.finditer(text)]
    for match in bare:
        inside = any(start <= match.start() < end for start, end in taken)
        if not inside and not _OTHERS.search(text[:match.start()][-60:]):
            yield from _missing(path, own, match, sections)


def _missing(path, page, match, sections):
    words = " ".join(match.group().split())
    if page is None:
        yield f"{path}: which document? {words!r}"
        return
    for number in re.findall(_NUMBER, match["numbers"]):
        if number not in sections[page].numbers:
            yield f"{path}: {page} has no section {number}: {words!r}"


def _page(name, path, sections):
    """Return the page a reference names, seen from path; None if there is no such page."""
    beside = str(PurePosixPath(path).parent / name)
    for page in (name, beside):
        if page in sections:
            return page
    ends = [page for page in sections if page.endswith("/" + name.lstrip("./"))]
    return ends[0] if len(ends) == 1 else None


def _own_page(path, text, sections):
    """Return the page that a bare "section 3" of this file means, or None."""
    if path in sections:
        return path if sections[path].numbers else None
    named = {_page(one["page"], path, sections) for one in re.finditer(_PAGE, text)} - {None}
    named = {page for page in named if sections[page].numbers}
    return named.pop() if len(named) == 1 else None


def _lost(text, path, files):
    """Yield each name in a text that should be a file or folder of ours and is none."""
    tops = {file.split("/")[0] for file in files if "/" in file}
    for name in _MODULE.findall(text):
        place = name.replace(".", "/")
        if name.split(".")[0] in tops and not {
                f"{place}.py", f"{place}/__main__.py"} & set(files):
            yield f"no module to run: python -m {name}"
    for word in _WORD.findall(text):
        name = re.sub(r"(?:\.\.?/)+", "", word.rstrip("."), count=1).rstrip("/")
        if _PLACEHOLDER.search(name) and not name.endswith(".md"):
            continue
        if "/" in name and name.split("/")[0] in tops:
            if not _there(name, files):
                yield f"no such path: {word}"
        elif name.endswith(_SOURCES) and name not in _SOURCES and not _ends(name, files):
            yield f"no such file: {word}"


def _there(name, files):
    return any(file == name or file.startswith(name + "/") or fnmatch.fnmatch(file, name)
               for file in files) or _ends(name, files)


def _ends(name, files):
    return any(fnmatch.fnmatch("/" + file, "*/" + name) for file in files)


def _prose(text):
    """Return the docstrings and comments of a Python file; neighbouring comments are one."""
    found = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(
        node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] == last + 1:
                found[-1] += "\n" + token.string.lstrip("# ")
            else:
                found.append(token.string.lstrip("# "))
            last = token.start[0]
    return [one for one in found if one]


def _flat(text):
    return " ".join(text.split())
