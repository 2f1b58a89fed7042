"""python -m provisioning: make a site, and make a fleet know it.

Exit codes: see gateway/aio/cli.py.
"""

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.aio import cli
from provisioning import clock, create, enrol, handover, parts

GUIDE = """\
Two steps bring a cabinet to life:

  1. wattproof-provisioning init --parts parts.toml --out SITE
     makes SITE/cabinet.toml, keys, certificates and the broker's configuration.
  2. wattproof-provisioning enrol --site SITE --data FLEET
     tells the fleet in FLEET which key signs this cabinet's evidence.

Then start `mosquitto -c SITE/broker/mosquitto.conf`,
`wattproof-gateway run --config SITE/cabinet.toml` and `wattproof-fleet serve --data FLEET`.

parts.toml lists what is in the cabinet, with the tables of cabinet.toml that you choose:
[site] id, name, timezone, cabinet; [[bus]]; [[device]]; and, where they apply, [battery],
[uplink] host and port, [journal], [factors], [clock].  The simulator's endpoints.json will do.
"""
EXAMPLES = """\
  wattproof-provisioning init --parts parts.toml --out SITE
  wattproof-provisioning enrol --site SITE --data FLEET
  wattproof-provisioning image --site SITE --out BOARD.img"""


def main(argv: Sequence[str] | None = None, now: datetime.datetime | None = None) -> int:
    """Run one command and return its exit code.

    now: aware time for certificates and entries; the machine's clock when not given.
    """
    def parser_at() -> cli.Parser:
        top = parser()
        top.set_defaults(moment=now)
        return top
    return cli.main(parser_at, argv)


def _init(arguments: argparse.Namespace) -> int:
    made = parts.load(arguments.parts, arguments.site)
    files = create.site(made, arguments.out, _moment(arguments))
    ca = arguments.out / "ca" / "ca.key"
    cli.show(arguments, {"cabinet": made["site"]["cabinet"], "site": made["site"]["id"],
                         "files": [str(path) for path in files], "keep_offline": str(ca)}, [
        f"made {len(files)} files of cabinet {made['site']['cabinet']} in {arguments.out}",
        f"next: python -m provisioning enrol --site {arguments.out} --data FLEET",
        f"keep {ca} offline: it can make new names for this site"])
    return cli.FINE


def _enrol(arguments: argparse.Namespace) -> int:
    path = enrol.enrol(arguments.site, arguments.data, _moment(arguments))
    cli.show(arguments, {"entry": str(path)}, [
        f"enrolled: {path}", f"next: python -m fleet serve --data {arguments.data}"])
    return cli.FINE


def _image(arguments: argparse.Namespace) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    files = build.build(arguments.site, arguments.out, arguments.code)
    size = arguments.out.stat().st_size
    cli.show(arguments, {"image": str(arguments.out), "bytes": size, "files": list(files)}, [
        f"{arguments.out}: {size} bytes, {len(files)} files; it holds this site's private keys"])
    return cli.FINE


def _symbolicate(arguments: argparse.Namespace) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    places = {line: build.where(line) for line in arguments.lines}
    cli.show(arguments, places, [f"{line}: {place}" for line, place in places.items()])
    return cli.FINE


def _hand_over(arguments: argparse.Namespace) -> int:
    boards = handover.Boards(arguments.old, arguments.new, arguments.journal,
                             arguments.new_journal)
    path = handover.hand_over(boards, arguments.data, _moment(arguments), arguments.why)
    cli.show(arguments, {"entry": str(path), "old_journal": arguments.journal.hex()}, [
        f"handed over: {path}; the new key signs from now on, the old one may only finish "
        f"journal {arguments.journal.hex()}"])
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
    top.renamed["where"] = "symbolicate"
    add = cli.add_commands(top)
    init = add("init", "make a site: cabinet.toml, keys, certificates, broker files",
               "  wattproof-provisioning init --parts parts.toml --out SITE")
    init.add_argument("--parts", type=Path, required=True, metavar="FILE",
                      help="parts.toml or the simulator's endpoints.json")
    init.add_argument("--out", type=Path, required=True, metavar="DIR",
                      help="folder of the new site; existing files are never overwritten")
    init.add_argument("--site", metavar="ID", help="site id, instead of the one in the parts")
    init.set_defaults(run=_init)
    register = add("enrol", "register a site's public keys at a fleet",
                   "  wattproof-provisioning enrol --site SITE --data FLEET")
    _add_site(register)
    _add_data(register)
    register.set_defaults(run=_enrol)
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


def _add_site(command: cli.Parser) -> None:
    command.add_argument("--site", type=Path, required=True, metavar="DIR",
                         help="folder made by init")


def _add_data(command: cli.Parser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="DIR",
                         help="data folder of the fleet")


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
                   "  wattproof-provisioning handover --old SITE-OLD --new SITE-NEW \\\n"
                   "      --journal 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --data FLEET")
    replaced.add_argument("--old", type=Path, required=True, metavar="DIR",
                          help="folder of the old board; its evidence key signs")
    replaced.add_argument("--new", type=Path, required=True, metavar="DIR",
                          help="folder of the new board, of the same cabinet name")
    replaced.add_argument("--journal", type=handover.journal_id, required=True, metavar="HEX",
                          help="id of the old journal: journal_id in `gateway status --json`")
    replaced.add_argument("--new-journal", type=handover.journal_id, metavar="HEX",
                          help="id of the new journal, if the new board has begun one")
    replaced.add_argument("--why", default=handover.WHY, metavar="TEXT", help="for the record")
    _add_data(replaced)
    replaced.set_defaults(run=_hand_over)


if __name__ == "__main__":
    sys.exit(main())
