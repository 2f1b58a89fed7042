"""The words of the authority's commands; what they do is in commands.py of this folder.

Apart from it, so that --help and a message about missing packages need none of them.
"""

import argparse
import datetime
from collections.abc import Callable
from pathlib import Path

from gateway.aio import cli

NAMES = ("init", "enrol", "cabinets", "renew", "revoke", "rotate")


def add_to(add: Callable[..., cli.Parser]) -> None:
    """Add the commands to those of `python -m fleet`; --data and `run` are set there."""
    made = add("init", "make the fleet's keys, its certificate authority and broker files, once",
               "  wattproof-fleet init --data FLEET --host energy.example.org")
    made.add_argument("--host", default="127.0.0.1", metavar="NAME",
                      help="name or address under which cabinets reach the broker "
                           "(default 127.0.0.1)")
    made.add_argument("--port", type=int, default=8883, metavar="PORT",
                      help="port of the broker (default 8883)")
    made.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS",
                      help="address the broker listens on; 0.0.0.0 for cabinets on other "
                           "machines (default 127.0.0.1)")
    made.add_argument("--factors", metavar="SET", help="id of the factor set of reports")
    joined = add("enrol", "let a cabinet join: register its keys, answer with a certificate",
                 "  wattproof-fleet enrol shop-1.request --data FLEET")
    joined.add_argument("request", type=Path, metavar="REQUEST",
                        help="made by `wattproof-provisioning request`")
    joined.add_argument("--out", type=Path, metavar="FILE",
                        help="the answer (default: beside the request, CABINET.answer)")
    joined.add_argument("--handover", type=Path, metavar="FILE",
                        help="statement of the old board's key, when a board was replaced")
    add("cabinets", "list the cabinets: until when their certificates are valid, what waits",
        "  wattproof-fleet cabinets --data FLEET")
    renewed = add("renew", "make a new certificate: of a cabinet, of fleet, broker or authority",
                  "  wattproof-fleet renew shop-1 --data FLEET\n"
                  "  wattproof-fleet renew broker --data FLEET")
    gone = add("revoke", "shut a cabinet out: its evidence and its certificates are refused",
               "  wattproof-fleet revoke shop-1 --data FLEET")
    changed = add("rotate", "change the fleet's receipt key, in two steps",
                  "  wattproof-fleet rotate --data FLEET              cabinets learn the next key\n"
                  "  wattproof-fleet rotate --data FLEET --finish     when all have said so")
    changed.add_argument("--finish", action="store_true",
                         help="the next key becomes the fleet's; stop `serve` before")
    changed.add_argument("--anyway", action="store_true",
                         help="with --finish: also while cabinets have not answered")
    renewed.add_argument("cabinet", metavar="NAME",
                         help="a cabinet, or one of: fleet, broker, authority")
    gone.add_argument("cabinet", metavar="CABINET", help="its name")
    for command in (made, joined, renewed, gone, changed):
        command.add_argument("--now", type=_time, metavar="RFC3339",
                             help="time from which certificates are valid (default: now)")


def _time(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text}: a time zone is missing, write ...Z")
    return found
