"""Commands of the gateway: check, run, status, journal.  Exit codes: see gateway/aio/cli.py."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.aio import cli, log_limit
from gateway.config import load as config
from gateway.service import status
from gateway.storage.folder_check import folder_faults
from gateway.timekeeping.clock import system_sources

EXAMPLES = """\
  wattproof-gateway check cabinet.toml
  wattproof-gateway run --config cabinet.toml
  wattproof-gateway status --config cabinet.toml
  wattproof-gateway journal doctor --config cabinet.toml"""
JOURNAL_EXAMPLES = """\
  wattproof-gateway journal ls --config cabinet.toml
  wattproof-gateway journal show 17 --config cabinet.toml
  wattproof-gateway journal export --out FOLDER --config cabinet.toml"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    return cli.main(parser, argv)


def parser() -> cli.Parser:
    """Return the command line of `python -m gateway`."""
    top = cli.parser("gateway", "The process in the cabinet: poll, keep, send, show.", EXAMPLES)
    add = cli.add_commands(top)
    run = add("run", "measure, keep and send until SIGTERM",
              "  wattproof-gateway run --config /etc/wattproof/cabinet.toml")
    _add_config(run)
    run.add_argument("--witness", type=Path, metavar="FILE",
                     help="append the highest durable sequence after each commit")
    run.add_argument("--verbose", action="store_true", help="log every small thing")
    run.set_defaults(run=_run)
    shown = add("status", "say how a running gateway is, and what to do next",
                "  wattproof-gateway status --config cabinet.toml --json")
    _add_config(shown)
    cli.add_json(shown)
    shown.set_defaults(run=_status)
    check = add("check", "list every mistake in a cabinet.toml",
                "  wattproof-gateway check cabinet.toml")
    check.add_argument("file", type=Path, metavar="cabinet.toml")
    cli.add_json(check)
    check.set_defaults(run=_check)
    _add_journal(add("journal", "look into the journal, changing nothing", JOURNAL_EXAMPLES))
    return top


def _add_config(command: cli.Parser) -> None:
    command.add_argument("--config", type=Path, required=True, metavar="cabinet.toml",
                         help="the cabinet's configuration")


def _add_journal(journal: cli.Parser) -> None:
    """Add the journal's sub-commands; --config and --json may stand before or after them."""
    add = cli.add_commands(journal)
    example = "  wattproof-gateway journal {} --config cabinet.toml"
    add("ls", "list what lies on flash: each sealed batch and each piece of the tail",
        example.format("ls"))
    shown = add("show", "print the records of a batch, or those that no batch holds yet",
                example.format("show 17"))
    shown.add_argument("number", type=int, nargs="?", default=0, metavar="NUMBER",
                       help="number of a batch, as `ls` prints it; without it: what no batch "
                            "holds yet")
    add("verify", "check the check sums, signatures, chain and records of everything",
        example.format("verify"))
    export = add("export", "copy each batch, the bytes as they travel, to FOLDER/NUMBER.cose",
                 example.format("export --out FOLDER"))
    export.add_argument("--out", type=Path, metavar="FOLDER", default=Path("journal-export"),
                        help="where to (default journal-export)")
    add("doctor", "tell in a few lines how the journal and its flash are, and what to do",
        example.format("doctor"))
    journal.set_defaults(config=None, json=False)
    for name, command in journal.commands.items():
        command.set_defaults(run=_journal, what=name)
    for command in (journal, *journal.commands.values()):
        command.add_argument("--config", type=Path, metavar="cabinet.toml",
                             default=argparse.SUPPRESS, help="the cabinet's configuration")
        cli.add_json(command, default=argparse.SUPPRESS)
        command.set_defaults(refuse=command.error)


def _run(arguments: argparse.Namespace) -> int:
    from gateway import app  # brings TLS and MQTT, which status and check do without
    log_limit.to_stderr(logging.DEBUG if arguments.verbose else logging.INFO)
    stopped = asyncio.run(app.run(config.load(arguments.config), arguments.witness))
    return cli.PERSON if stopped.lost else cli.FINE


def _status(arguments: argparse.Namespace) -> int:
    cabinet = config.load(arguments.config)
    sources = system_sources()
    found = status.read(cabinet, sources.wall(), sources.monotonic())
    cli.show(arguments, found, status.text(found).splitlines())
    return status.exit_code(found)


def _check(arguments: argparse.Namespace) -> int:
    mistakes = config.check(arguments.file)
    if mistakes:
        if arguments.json:
            cli.show(arguments, {"file": str(arguments.file), "mistakes": [
                {"line": one.line or None, "text": one.text} for one in mistakes]}, ())
        else:
            cli.say_error("wattproof-gateway", config.report(arguments.file, mistakes), "")
        return cli.PERSON
    cabinet = config.load(arguments.file)
    faults = folder_faults(cabinet.journal.directory)
    if faults:
        if arguments.json:
            cli.show(arguments, {"file": str(arguments.file), "mistakes": [
                {"line": None, "text": fault} for fault in faults]}, ())
        else:
            cli.say_error("wattproof-gateway", "\n".join(faults), "")
        return cli.PERSON
    notes = [f"bus {bus.name}: {bus.tty} does not exist now; the gateway starts without it and "
             "tries on" for bus in cabinet.buses if bus.tty and not Path(bus.tty).exists()]
    found = {
        "file": str(arguments.file), "mistakes": [], "devices": len(cabinet.devices),
        "buses": len(cabinet.buses), "points": sum(len(s.points) for s in cabinet.schema),
        "config_hash": cabinet.config_hash.hex(), "notes": notes}
    cli.show(arguments, found, [
        f"{arguments.file}: no mistakes; {found['devices']} devices on {found['buses']} buses, "
        f"{found['points']} points, config {cabinet.config_hash.hex()[:12]}",
        *(f"note: {note}" for note in notes)])
    return cli.FINE


def _journal(arguments: argparse.Namespace) -> int:
    if arguments.config is None:
        arguments.refuse("the following arguments are required: --config")
    from gateway.service import journal_cli  # not loaded beside a running gateway's own work
    return journal_cli.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
