"""python -m provisioning: make a site, and make a fleet know it."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.core.errors import ConfigError
from provisioning import clock, enrol, handover, parts, site

GUIDE = """\
Two steps bring a cabinet to life:

  1. python -m provisioning init --parts parts.toml --out SITE
     makes SITE/cabinet.toml, keys, certificates and the broker's configuration.
  2. python -m provisioning enrol --site SITE --data FLEET
     tells the fleet in FLEET which key signs this cabinet's evidence.

Then start `mosquitto -c SITE/broker/mosquitto.conf`,
`python -m gateway run --config SITE/cabinet.toml` and `python -m fleet serve --data FLEET`.

parts.toml lists what is in the cabinet, with the tables of cabinet.toml that you choose:
[site] id, name, timezone, cabinet; [[bus]]; [[device]]; and, where they apply, [battery],
[uplink] host and port, [journal], [factors], [clock].  The simulator's endpoints.json will do.
"""


def main(argv: Sequence[str] | None = None, now: datetime.datetime | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused (told on stderr).

    now: aware time for certificates and entries; the machine's clock when not given.
    """
    arguments = _parser().parse_args(argv)
    moment = now or _moment(arguments.now)
    try:
        return int(arguments.run(arguments, moment))
    except ConfigError as error:
        print(f"provisioning: {error}", file=sys.stderr)
    except OSError as error:
        print(f"provisioning: {error.filename}: {error.strerror}; check that the folder "
              "is yours and has room", file=sys.stderr)
    return 1


def _init(arguments: argparse.Namespace, now: datetime.datetime) -> int:
    made = parts.load(arguments.parts, arguments.site)
    files = site.create(made, arguments.out, now)
    print(f"made {len(files)} files of cabinet {made['site']['cabinet']} in {arguments.out}")
    print(f"next: python -m provisioning enrol --site {arguments.out} --data FLEET")
    print(f"keep {arguments.out / 'ca' / 'ca.key'} offline: it can make new names for this site")
    return 0


def _enrol(arguments: argparse.Namespace, now: datetime.datetime) -> int:
    path = enrol.enrol(arguments.site, arguments.data, now)
    print(f"enrolled: {path}")
    print(f"next: python -m fleet serve --data {arguments.data}")
    return 0


def _image(arguments: argparse.Namespace, now: datetime.datetime) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    files = build.build(arguments.site, arguments.out, arguments.code)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, {len(files)} files; it holds "
          "this site's private keys")
    return 0


def _where(arguments: argparse.Namespace, now: datetime.datetime) -> int:
    from provisioning.board_image import build  # its tools are an extra: [board]
    for line in arguments.lines:
        print(f"{line}: {build.where(line)}")
    return 0


def _hand_over(arguments: argparse.Namespace, now: datetime.datetime) -> int:
    boards = handover.Boards(arguments.old, arguments.new, arguments.journal,
                             arguments.new_journal)
    path = handover.hand_over(boards, arguments.data, now, arguments.why)
    print(f"handed over: {path}; the new key signs from now on, the old one may only finish "
          f"journal {arguments.journal.hex()}")
    return 0


def _moment(text: str | None) -> datetime.datetime:
    if text is None:
        return clock.now()
    return datetime.datetime.fromisoformat(text)


def _time(text: str) -> str:
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time zone is missing, write ...Z")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m provisioning", description=GUIDE,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="make a site: cabinet.toml, keys, certificates")
    init.add_argument("--parts", type=Path, required=True, metavar="FILE",
                      help="parts.toml or the simulator's endpoints.json")
    init.add_argument("--out", type=Path, required=True, metavar="DIR",
                      help="folder of the new site; existing files are never overwritten")
    init.add_argument("--site", metavar="ID", help="site id, instead of the one in the parts")
    init.set_defaults(run=_init)
    register = commands.add_parser("enrol", help="register a site's public keys at a fleet")
    register.add_argument("--site", type=Path, required=True, metavar="DIR",
                          help="folder made by init")
    register.add_argument("--data", type=Path, required=True, metavar="DIR",
                          help="data folder of the fleet")
    register.set_defaults(run=_enrol)
    board = commands.add_parser("image", help="make the flash image of a site's board")
    board.add_argument("--site", type=Path, required=True, metavar="DIR",
                       help="folder made by init")
    board.add_argument("--out", type=Path, required=True, metavar="FILE.img",
                       help="the image; an older one is replaced")
    board.add_argument("--code", choices=("rom", "littlefs"), default="rom",
                       help="where the code lies: run in place, or loaded into the heap")
    board.set_defaults(run=_image)
    where = commands.add_parser("where", help="name the place that a board's console means")
    where.add_argument("lines", type=int, nargs="+", metavar="LINE",
                       help="line of core.py or start.py, or the number of an error")
    where.set_defaults(run=_where)
    replaced = _handover_parser(commands)
    for command in (init, register, board, where, replaced):
        command.add_argument("--now", type=_time, metavar="RFC3339",
                             help="time from which certificates are valid (default: now)")
    return parser


def _handover_parser(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "handover", help="replace a board: the old key signs who comes after it")
    parser.add_argument("--old", type=Path, required=True, metavar="DIR",
                        help="folder of the old board; its evidence key signs")
    parser.add_argument("--new", type=Path, required=True, metavar="DIR",
                        help="folder of the new board, of the same cabinet name")
    parser.add_argument("--journal", type=handover.journal_id, required=True, metavar="HEX",
                        help="id of the old journal: journal_id in `gateway status --json`")
    parser.add_argument("--new-journal", type=handover.journal_id, metavar="HEX",
                        help="id of the new journal, if the new board has begun one")
    parser.add_argument("--why", default=handover.WHY, metavar="TEXT", help="for the record")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR",
                        help="data folder of the fleet")
    parser.set_defaults(run=_hand_over)
    return parser


if __name__ == "__main__":
    sys.exit(main())
