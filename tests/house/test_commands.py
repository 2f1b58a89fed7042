"""Documents and messages name only commands that exist, with the options that they have."""

import importlib
import re
from pathlib import Path

import pytest

from tests.house.source import ROOMS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = README.split("## Commands")[1].split("\n## ")[0]
PARSERS = {room: importlib.import_module(f"{room}.__main__").parser() for room in ROOMS}
WORD = r"[^\s`|\"\\)]+"
CALL = re.compile(rf"(?:python -m\s+|wattproof-)({'|'.join(ROOMS)})((?: (?!#){WORD})*)")
# Texts that name commands: documents, and what the product prints.
TEXTS = sorted(path for pattern in ("*.md", "docs/**/*.md", "*/**/*.py", "*/**/*.html", "Makefile")
               for path in ROOT.glob(pattern)
               if path.name == "Makefile" or path.suffix == ".md" or
               path.relative_to(ROOT).parts[0] in ROOMS)
HISTORY = "CHANGELOG.md"            # it may name what was
NOT_A_COMMAND = frozenset(("and", "or", "of", "at", "in", "is", "does", "has", "knows"))


def calls(text):
    """Return (room, words after it) of every command that a text names; lines are joined."""
    joined = re.sub(r"\s*\\\\?\n\s*|\"\n\s*f?\"", " ", text)
    return [(room, words.split()) for room, words in CALL.findall(joined)]


def command_of(room, words):
    """Return (parser, words that are left) of the deepest command that words name."""
    parser = PARSERS[room]
    while parser.commands and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        assert words[0] in parser.commands, f"{parser.prog} has no command {words[0]!r}"
        parser, words = parser.commands[words[0]], words[1:]
    return parser, words


def every_command():
    """Return the words of each command that the rooms have, e.g. ("gateway", "journal", "ls")."""
    def below(parser, words):
        for name, inner in parser.commands.items():
            yield from below(inner, (*words, name)) if inner.commands else [(*words, name)]
    return [words for room, parser in PARSERS.items() for words in below(parser, (room,))]


@pytest.mark.parametrize("call", re.findall(r"`(python -m [^`]+)`", TABLE))
def test_each_command_of_the_readme_exists_with_its_options_and_has_help(call, capsys):
    [(room, words)] = calls(call)
    parser, rest = command_of(room, words)
    assert not parser.commands, f"{call}: names no command"
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"{room}.__main__").main([*parser.prog.split()[1:], "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    for option in re.findall(r"--[a-z-]+", " ".join(rest)):
        assert re.search(rf"{option}\b", text.split("example")[0]), f"{call}: no {option}"


def test_the_readme_has_a_row_for_every_command():
    named = {(room, *command_of(room, words)[0].prog.split()[1:]) for room, words in calls(TABLE)}
    assert set(every_command()) - named == set()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_names_only_commands_and_options_that_exist(path):
    wrong = []
    text = path.read_text(encoding="utf-8")
    for room, words in calls(text) if path.name != HISTORY else ():
        words = [word.rstrip(".,;:'") for word in words]
        if words and words[0] in NOT_A_COMMAND:         # prose goes on: "wattproof-fleet and ..."
            continue
        try:
            parser, rest = command_of(room, words)
        except AssertionError as error:
            wrong.append(str(error))
            continue
        known = parser.format_help().split("example")[0]
        wrong += [f"{parser.prog} has no {word}" for word in rest
                  if re.fullmatch(r"--[a-z-]+", word) and not re.search(rf"{word}\b", known)]
    assert wrong == []


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_each_help_teaches_by_an_example_that_parses(words, capsys):
    room, *rest = words
    parser = PARSERS[room]
    for word in rest:
        parser = parser.commands[word]
    text = parser.format_help()
    examples = calls(text.split("example:\n")[1].replace("...", "x"))
    assert (room, tuple(rest)) in {(r, tuple(w[:len(rest)])) for r, w in examples}
    for _, example in examples:
        arguments = example[:example.index(">")] if ">" in example else example
        assert PARSERS[room].parse_args(arguments).run is not None
    assert capsys.readouterr().err == ""


def test_each_command_that_prints_a_result_can_print_it_as_json():
    servers = {("gateway", "run"), ("fleet", "serve"), ("simulator", "serve")}
    without = set()
    for room, *rest in every_command():
        parser = PARSERS[room]
        for word in rest:
            parser = parser.commands[word]
        if "--json" not in parser.format_help():
            without.add((room, *rest))
    assert without == servers
