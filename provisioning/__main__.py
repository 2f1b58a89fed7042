"""python -m provisioning: a cabinet's keys and request, the answer, its board.

Exit codes: see gateway/aio/cli.py.
"""

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.aio import cli
from gateway.core.errors import ConfigError
from gateway.core.evidence import enrolment
from provisioning import clock, create, handover, install, parts
from provisioning.identity import fingerprint

GUIDE = """\
A fleet is made once, on its own machine: wattproof-fleet init --data FLEET --host NAME.
Three steps then bring a cabinet to life:

  1. wattproof-provisioning request --parts parts.toml --out SITE    in the cabinet
     makes cabinet.toml, keys that never leave SITE, and SITE/CABINET.request.
  2. wattproof-fleet enrol CABINET.request --data FLEET              on the fleet's machine
     registers the cabinet's public keys and writes CABINET.answer.
  3. wattproof-provisioning install CABINET.answer --site SITE       in the cabinet
     puts the certificate in place; then wattproof-gateway run --config SITE/cabinet.toml

Request and answer hold no secret: carry them by mail or on a stick.  Both sides print
fingerprints to compare.

parts.toml lists what is in the cabinet, with the tables of cabinet.toml that you choose:
[site] id, name, timezone, cabinet; [[bus]]; [[device]]; and, where they apply, [battery],
[uplink], [journal], [factors], [clock].  docs/parts.example.toml is one; the simulator's
endpoints.json will do.
"""
EXAMPLES = """\
  wattproof-provisioning request --parts parts.toml --out SITE
  wattproof-provisioning install shop-1.answer --site SITE
  wattproof-provisioning image --site SITE --out BOARD.img"""
# Commands of former versions: what to type today.
RENAMED = {
    "where": "symbolicate",
    "init": "request`, once `python -m fleet init --data FLEET` has made the fleet; then "
            "`python -m fleet enrol` and `install",
    "enrol": "python -m fleet enrol CABINET.request --data FLEET",
}
ANSWER_FILE_BYTES_MAX = enrolment.ANSWER_BYTES_MAX


def main(argv: Sequence[str] | None = None, now: datetime.datetime | None = None) -> int:
    """Run one command and return its exit code.

    now: aware time for certificates and entries; the machine's clock when not given.
    """
    def parser_at() -> cli.Parser:
        top = parser()
        top.set_defaults(moment=now)
        return top
    return cli.main(parser_at, argv)


def _request(arguments: argparse.Namespace) -> int:
    if (arguments.parts is None) == (arguments.site is None):
        raise ConfigError("request: give --parts and --out for a new cabinet, or --site for one "
                          "that has its keys")
    if arguments.site is not None:
        path = create.request_again(arguments.site, _moment(arguments))
        files = [path]
    else:
        if arguments.out is None:
            raise ConfigError("request: --out DIR is missing; the cabinet's keys are made there")
        files = create.site(parts.load(arguments.parts, arguments.site_id), arguments.out,
                            _moment(arguments))
        path = files[-1]
    _, made = enrolment.open_request(path.read_bytes())
    listing = fingerprint(made.public)
    cli.show(arguments, {"cabinet": made.cabinet, "site": made.site, "request": str(path),
                         "files": [str(file) for file in files], "fingerprint": listing}, [
        f"{path}: request of cabinet {made.cabinet}, evidence key {listing}",
        f"next, on the fleet's machine: python -m fleet enrol {path.name} --data FLEET"])
    return cli.FINE


def _install(arguments: argparse.Namespace) -> int:
    folder = arguments.site or arguments.answer.resolve().parent
    done = install.install(folder, _small_file(arguments.answer), _moment(arguments),
                           arguments.fleet_key)
    until = done.valid_until.strftime("%Y-%m-%d")
    cli.show(arguments, {"files": [str(file) for file in done.files], "valid_until": until,
                         "fleet_key": done.fingerprint, "mistakes": done.mistakes}, [
        f"installed in {folder}: certificate until {until}, fleet {done.fingerprint}",
        *(f"mistake: {text}" for text in done.mistakes),
        f"next: python -m gateway check {folder / 'cabinet.toml'}" if done.mistakes else
        f"next: python -m gateway run --config {folder / 'cabinet.toml'}"])
    return cli.PERSON if done.mistakes else cli.FINE


def _small_file(path: Path) -> bytes:
    """Return a file's bytes, but no more than an answer can have, and one to tell."""
    with path.open("rb") as file:
        return file.read(ANSWER_FILE_BYTES_MAX + 1)


def _image(arguments: argparse.Namespace) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    files = build.build(arguments.site, arguments.out, arguments.code)
    size = arguments.out.stat().st_size
    cli.show(arguments, {"image": str(arguments.out), "bytes": size, "files": list(files)}, [
        f"{arguments.out}: {size} bytes, {len(files)} files; it holds this site's private keys"])
    return cli.FINE


def _symbolicate(arguments: argparse.Namespace) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    positions = {line: build.symbolicate(line) for line in arguments.lines}
    cli.show(arguments, positions, [f"{line}: {position}" for line, position in positions.items()])
    return cli.FINE


def _hand_over(arguments: argparse.Namespace) -> int:
    journals = handover.Journals(arguments.journal, arguments.new_journal)
    statement = handover.hand_over(arguments.old, _small_file(arguments.request), journals,
                                   _moment(arguments), arguments.why)
    arguments.out.write_bytes(statement)
    cli.show(arguments, {"file": str(arguments.out), "old_journal": arguments.journal.hex()}, [
        f"{arguments.out}: the new key may sign from now on, the old one may only finish journal "
        f"{arguments.journal.hex()}",
        f"next, on the fleet's machine: python -m fleet enrol {arguments.request.name} "
        f"--handover {arguments.out.name} --data FLEET"])
    return cli.FINE


def _moment(arguments: argparse.Namespace) -> datetime.datetime:
    """Return the time to write: given by the caller, else by --now, else by the clock."""
    given: datetime.datetime | None = arguments.moment
    if given is None and arguments.now is not None:
        given = datetime.datetime.fromisoformat(arguments.now)
    return given or clock.now()


def _time(text: str) -> str:
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text}: a time zone is missing, write ...Z")
    return text


def parser() -> cli.Parser:
    """Return the command line of `python -m provisioning`."""
    top = cli.parser("provisioning", GUIDE, EXAMPLES)
    top.renamed.update(RENAMED)
    add = cli.add_commands(top)
    _add_request(add)
    answer = add("install", "put a fleet's answer into a cabinet's folder",
                 "  wattproof-provisioning install shop-1.answer --site SITE")
    answer.add_argument("answer", type=Path, metavar="ANSWER", help="made by `fleet enrol`")
    answer.add_argument("--site", type=Path, metavar="DIR",
                        help="folder of the cabinet (default: the answer's)")
    answer.add_argument("--fleet-key", metavar="FINGERPRINT",
                        help="refuse an answer of any other fleet; `fleet enrol` prints it")
    answer.set_defaults(run=_install)
    _add_image(add)
    lines = add("symbolicate", "name the source line that a board's console means",
                "  wattproof-provisioning symbolicate 30050")
    lines.add_argument("lines", type=int, nargs="+", metavar="LINE",
                       help="line of core.py or start.py, or the number of an error")
    lines.set_defaults(run=_symbolicate)
    _add_handover(add)
    for command in top.commands.values():
        command.add_argument("--now", type=_time, metavar="RFC3339",
                             help="time from which certificates are valid (default: now)")
        cli.add_json(command)
    return top


def _add_request(add: Callable[..., cli.Parser]) -> None:
    made = add("request", "make a cabinet's keys, cabinet.toml and its request to a fleet",
               "  wattproof-provisioning request --parts parts.toml --out SITE\n"
               "  wattproof-provisioning request --site SITE        again, with the same keys")
    made.add_argument("--parts", type=Path, metavar="FILE",
                      help="parts.toml or the simulator's endpoints.json")
    made.add_argument("--out", type=Path, metavar="DIR",
                      help="folder of the new cabinet; existing files are never overwritten")
    made.add_argument("--site-id", metavar="ID", help="site id, instead of the one in the parts")
    made.add_argument("--site", type=Path, metavar="DIR",
                      help="folder of a cabinet that has its keys: a new request only")
    made.set_defaults(run=_request)


def _add_site(command: cli.Parser) -> None:
    command.add_argument("--site", type=Path, required=True, metavar="DIR",
                         help="folder made by request and install")


def _add_image(add: Callable[..., cli.Parser]) -> None:
    board = add("image", "make the flash image of a site's board",
                "  wattproof-provisioning image --site SITE --out BOARD.img")
    _add_site(board)
    board.add_argument("--out", type=Path, required=True, metavar="FILE.img",
                       help="the image; an older one is replaced")
    board.add_argument("--code", choices=("rom", "littlefs"), default="rom",
                       help="where the code lies: run in place, or loaded into the heap")
    board.set_defaults(run=_image)


def _add_handover(add: Callable[..., cli.Parser]) -> None:
    replaced = add("handover", "replace a board: the old key signs who comes after it",
                   "  wattproof-provisioning handover --old SITE-OLD --request NEW.request \\\n"
                   "      --journal 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --out shop-1.handover")
    replaced.add_argument("--old", type=Path, required=True, metavar="DIR",
                          help="folder of the old board; its evidence key signs")
    replaced.add_argument("--request", type=Path, required=True, metavar="FILE",
                          help="request of the new board, of the same cabinet name")
    replaced.add_argument("--journal", type=handover.journal_id, required=True, metavar="HEX",
                          help="id of the old journal: journal_id in `gateway status --json`")
    replaced.add_argument("--new-journal", type=handover.journal_id, metavar="HEX",
                          help="id of the new journal, if the new board has begun one")
    replaced.add_argument("--why", default=handover.WHY, metavar="TEXT", help="for the record")
    replaced.add_argument("--out", type=Path, required=True, metavar="FILE",
                          help="the statement, for `fleet enrol --handover`")
    replaced.set_defaults(run=_hand_over)


if __name__ == "__main__":
    sys.exit(main())
