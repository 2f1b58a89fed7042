"""Commands of the gateway: run, status, check, journal.

Exit codes: 0 well, 1 something needs a person (the text says what), 2 wrong usage.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.config import load as config
from gateway.core.errors import WattproofError
from gateway.service import status
from gateway.timekeeping.clock import system_sources

JOURNAL = ("doctor", "export", "ls", "show", "verify")      # what journal_cli.COMMANDS has


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.command(arguments)
        return code
    except WattproofError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="measure, keep and send until SIGTERM")
    run.add_argument("--config", type=Path, required=True, metavar="cabinet.toml")
    run.add_argument("--witness", type=Path, metavar="FILE",
                     help="append the highest durable sequence after each commit")
    run.add_argument("--verbose", action="store_true", help="log every small thing")
    run.set_defaults(command=_run)
    show = commands.add_parser("status", help="say how a running gateway is")
    show.add_argument("--config", type=Path, required=True, metavar="cabinet.toml")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.set_defaults(command=_status)
    check = commands.add_parser("check", help="list every mistake in a cabinet.toml")
    check.add_argument("file", type=Path, metavar="cabinet.toml")
    check.set_defaults(command=_check)
    look = commands.add_parser("journal", help="look into the journal, changing nothing")
    look.add_argument("what", choices=JOURNAL)
    look.add_argument("number", type=int, nargs="?", default=0,
                      help="show: a batch by its number; 0 = what no batch holds yet")
    look.add_argument("--config", type=Path, required=True, metavar="cabinet.toml")
    look.add_argument("--out", type=Path, metavar="FOLDER", help="export: where to")
    look.add_argument("--json", action="store_true", help="as JSON")
    look.set_defaults(command=_journal)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from gateway import app  # brings TLS and MQTT, which status and check do without
    logging.basicConfig(level=logging.DEBUG if arguments.verbose else logging.INFO,
                        format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    cabinet = config.load(arguments.config)
    try:
        asyncio.run(app.run(cabinet, arguments.witness))
    except OSError as error:
        print(f"{error.filename or arguments.config}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _status(arguments: argparse.Namespace) -> int:
    cabinet = config.load(arguments.config)
    found = status.read(cabinet, system_sources().wall())
    print(json.dumps(found, indent=1, sort_keys=True) if arguments.json else status.text(found))
    return status.exit_code(found)


def _check(arguments: argparse.Namespace) -> int:
    mistakes = config.check(arguments.file)
    if mistakes:
        print(config.report(arguments.file, mistakes), file=sys.stderr)
        return 1
    cabinet = config.load(arguments.file)
    print(f"{arguments.file}: no mistakes; {len(cabinet.devices)} devices on "
          f"{len(cabinet.buses)} buses, {sum(len(s.points) for s in cabinet.schema)} points, "
          f"config {cabinet.config_hash.hex()[:12]}")
    for bus in cabinet.buses:
        if bus.tty and not Path(bus.tty).exists():
            print(f"note: bus {bus.name}: {bus.tty} does not exist now; the gateway starts "
                  "without it and tries on")
    return 0


def _journal(arguments: argparse.Namespace) -> int:
    from gateway.service import journal_cli  # not loaded beside a running gateway's own work
    return journal_cli.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
