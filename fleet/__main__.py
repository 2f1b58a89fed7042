"""python -m fleet: receive and show, report, verify.  Exit codes: see gateway/aio/cli.py."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fleet.authority import arguments as authority
from fleet.errors import ReportError, StoreDamaged, StoreInUse, StoreUnavailable
from gateway.aio import cli

GUIDE = """\
The receiving side of Wattproof.  Make a fleet once with init, then enrol its cabinets.
"""
EXAMPLES = """\
  wattproof-fleet init --data FLEET --host energy.example.org
  wattproof-fleet enrol shop-1.request --data FLEET         a cabinet joins
  wattproof-fleet serve --data FLEET                        receive batches, show the page
  wattproof-fleet report --data FLEET --site shop --from 2026-06-01T00:00:00Z \\
                         --to 2026-06-02T00:00:00Z --format html --out report.html
  wattproof-fleet verify --data FLEET --site shop           check all stored evidence
  wattproof-fleet evidence --data FLEET --site shop --from ... --to ... --out shop.bundle
                                            one file that others check without us
  wattproof-fleet tree-head --data FLEET --out head.cbor    the signed state of the log
  wattproof-fleet journals --data FLEET                     a cabinet's journals, what is set aside
  wattproof-fleet backup --data FLEET --out fleet.backup    a checked copy, while it is in use"""
NEXT_STEPS: Mapping[type[BaseException], str] = {
    ReportError: "ask for a site, a time and factors that this fleet has",
    StoreDamaged: "stop `fleet serve`, then: wattproof-fleet restore",
    StoreUnavailable: "see that the folder can be written, has space, and nobody else holds it",
    StoreInUse: "stop the other `fleet serve` first",
}
PERIOD = "--data FLEET --site shop --from 2026-06-01T00:00:00Z --to 2026-06-02T00:00:00Z"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return cli.main(parser, argv, NEXT_STEPS)


def parser() -> cli.Parser:
    """Return the command line of `python -m fleet`."""
    top = cli.parser("fleet", GUIDE, EXAMPLES)
    add = cli.add_commands(top)
    authority.add_to(add)
    server = add("serve", "receive batches and show the page",
                 "  wattproof-fleet serve --data FLEET")
    server.add_argument("--port", type=int, default=8080, metavar="PORT",
                        help="port of the page (default 8080)")
    add("check", "list every mistake in fleet.toml", "  wattproof-fleet check --data FLEET")
    reporter = add("report", "account a period of a site",
                   f"  wattproof-fleet report {PERIOD} \\\n"
                   "      --format html --out report.html")
    reporter.add_argument("--format", choices=("json", "html"), default="json",
                          help="form of the report (default json)")
    reporter.add_argument("--out", type=Path, metavar="FILE", help="file (default: stdout)")
    checker = add("verify", "check all stored evidence of a site",
                  "  wattproof-fleet verify --data FLEET --site shop")
    collector = add("evidence", "bundle a period's evidence in one file",
                    f"  wattproof-fleet evidence {PERIOD} \\\n      --out shop.bundle")
    collector.add_argument("--out", type=Path, metavar="FILE", required=True,
                           help="the bundle; an older one is replaced")
    collector.add_argument("--head", type=Path, metavar="FILE", action="append", default=[],
                           help="a tree head that the reader kept: the bundle proves that the "
                           "log continues it; may be given again")
    _add_tree_head(add("tree-head", "export the log's signed head, to be kept by others: what is "
                       "in it cannot be changed any more",
                       "  wattproof-fleet tree-head --data FLEET --out head.cbor"))
    _add_journals(add)
    keeper = add("backup", "copy the store into one file while it is in use, and check the copy",
                 "  wattproof-fleet backup --data FLEET --out fleet.backup")
    keeper.add_argument("--out", type=Path, metavar="FILE", required=True,
                        help="the copy; an older one is replaced once the new one is checked")
    _add_restore(add("restore", "put a backup in place of the store; cabinets send again what it "
                     "lacks", "  wattproof-fleet restore --data FLEET --backup fleet.backup"))
    for command in (reporter, collector):
        _add_period(command)
    for command in (reporter, checker, collector):
        command.add_argument("--site", required=True, metavar="ID", help="id of the site")
    for name, command in top.commands.items():
        command.add_argument("--data", type=Path, required=True, metavar="DIR",
                             help="data folder of the fleet")
        command.set_defaults(run=_runner(name))
        if command is not server:
            cli.add_json(command)
    return top


def _add_journals(add: Callable[..., cli.Parser]) -> None:
    lister = add("journals", "list the journals of cabinets, what of them is set aside and why",
                 "  wattproof-fleet journals --data FLEET --site shop")
    lister.add_argument("--site", metavar="ID", help="only of this site")
    lister.add_argument("--cabinet", metavar="NAME", help="only of this cabinet")
    decider = add("decide", "say which of a cabinet's journals counts for a time",
                  "  wattproof-fleet decide --data FLEET --cabinet shop-1 --journal 1f3a0c52 \\\n"
                  "      --from 2026-06-01T00:00:00Z --to 2026-06-02T00:00:00Z \\\n"
                  "      --reason stolen-on-June-1st")
    decider.add_argument("--cabinet", required=True, metavar="NAME", help="the cabinet")
    decider.add_argument("--journal", required=True, metavar="HEX",
                         help="id of the journal that counts, or how it begins")
    _add_times(decider)
    decider.add_argument("--reason", required=True, metavar="TEXT", help="why; an auditor reads it")
    decider.add_argument("--author", metavar="TEXT", help="who decides (default: your user name)")


def _add_restore(restorer: cli.Parser) -> None:
    what = restorer.add_mutually_exclusive_group(required=True)
    what.add_argument("--backup", type=Path, metavar="FILE", help="a file of `fleet backup`")
    what.add_argument("--empty", action="store_true",
                      help="begin with an empty store: there is no backup")


def _add_tree_head(heads: cli.Parser) -> None:
    heads.add_argument("--day", metavar="DATE", help="as it stood at the end of a UTC day, e.g. "
                       "2026-06-01 (default: now)")
    heads.add_argument("--out", type=Path, metavar="FILE", required=True,
                       help="the head; an older one is replaced")
    heads.add_argument("--tsq", type=Path, metavar="FILE",
                       help="also write an RFC 3161 time-stamp request about it")


def _add_period(command: cli.Parser) -> None:
    _add_times(command)
    command.add_argument("--factors", metavar="SET", help="another factor set: id or file")


def _add_times(command: cli.Parser) -> None:
    command.add_argument("--from", dest="start", required=True, metavar="TIME",
                         help="first moment, RFC 3339 UTC, e.g. 2026-06-01T00:00:00Z")
    command.add_argument("--to", dest="end", required=True, metavar="TIME",
                         help="first moment after the period")


def _runner(name: str) -> Callable[[argparse.Namespace], int]:
    """Return what runs a command; its packages, an extra, are imported only then."""
    def run(arguments: argparse.Namespace) -> int:
        if name in authority.NAMES:
            from fleet.authority import commands as of_authority
            return of_authority.RUN[name](arguments)
        from fleet import commands, journal_commands
        return {"journals": journal_commands.journals, "decide": journal_commands.decide,
                "serve": commands.serve, "report": commands.report, "verify": commands.verify,
                "check": commands.check,
                "evidence": commands.evidence, "tree-head": commands.tree_head,
                "backup": commands.backup, "restore": commands.restore}[name](arguments)
    return run


if __name__ == "__main__":
    sys.exit(main())
