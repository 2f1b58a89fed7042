"""The simulator's commands: serve a scenario, compute its world, run the demo.

Exit codes: see gateway/aio/cli.py.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.aio import cli
from simulator.demo import run as demo
from simulator.scenario import load

EXAMPLES = """\
  wattproof-simulator demo
      simulator, broker, gateway and fleet together, with a page to look at
  wattproof-simulator serve --scenario shop --out /tmp/shop --speed 60
      all devices of the shop; /tmp/shop/endpoints.json says where they answer
  mbpoll -m rtu -a 1 -b 9600 -P none -t 3:float -B -0 -r 72 -c 1 -1 /tmp/shop/bus/rtu-1
      ask the grid meter for its import counter (kWh)
  wattproof-simulator world --scenario shop --hours 24 --csv > day.csv
      the same day as a table, as fast as this machine can"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    return cli.main(parser, argv)


def parser() -> cli.Parser:
    """Return the command line of `python -m simulator`."""
    top = cli.parser("simulator", "The cabinet without the cabinet: physics behind real wires.",
                     EXAMPLES)
    add = cli.add_commands(top)
    serve = add("serve", "serve all devices on ptys and ports until SIGTERM or Ctrl-C",
                "  wattproof-simulator serve --scenario shop --out /tmp/shop --speed 60")
    serve.add_argument("--out", type=Path, default=Path("sim-out"), metavar="DIR",
                       help="folder for endpoints.json, truth.jsonl and bus/ (default sim-out)")
    serve.add_argument("--speed", type=_speed, default=1, metavar="N",
                       help="simulated seconds in a real one, 1 .. 3600 (default 1)")
    serve.set_defaults(run=_serve)
    world = add("world", "compute a scenario without servers: its energy, or a table",
                "  wattproof-simulator world --scenario shop --hours 24 --csv > day.csv")
    world.add_argument("--hours", type=_hours, default=24.0, metavar="H",
                       help="how long (default 24)")
    world.add_argument("--every", type=_every, default=60, metavar="S",
                       help="seconds between two rows of the table, 1 .. 86400 (default 60)")
    form = world.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print a row per --every seconds")
    form.add_argument("--json", action="store_true", help="print the energy as JSON")
    world.set_defaults(run=_world)
    for command in (serve, world):
        command.add_argument("--scenario", default="shop", metavar="NAME",
                             help="a name in simulator/scenarios or a path (default shop)")
        command.add_argument("--origin", metavar="TIME",
                             help="simulated start, RFC 3339 (default: the scenario's)")
        command.add_argument("--seed", type=int, metavar="N",
                             help="another seed than the scenario's")
    one_line = add("demo", "run simulator, broker, gateway and fleet together",
                   "  wattproof-simulator demo --hours 1 --exit --out demo-out",
                   description=demo.__doc__)
    demo.add_arguments(one_line)
    one_line.set_defaults(run=_demo)
    return top


def _speed(text: str) -> int:
    return int(_between(str(int(text)), 1, 3600))


def _every(text: str) -> int:
    return int(_between(str(int(text)), 1, 86_400))


def _hours(text: str) -> float:
    return _between(text, 0.01, 24.0 * 400)


def _between(text: str, low: float, high: float) -> float:
    value = float(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not within {low:g} .. {high:g}")
    return value


def _serve(args: argparse.Namespace) -> int:
    from simulator.serve import serve  # brings pymodbus, an extra
    asyncio.run(serve(load(args.scenario, args.seed, args.origin), args.out, args.speed))
    return cli.FINE


def _world(args: argparse.Namespace) -> int:
    from simulator import plot
    return plot.write(load(args.scenario, args.seed, args.origin), args, sys.stdout)


def _demo(args: argparse.Namespace) -> int:
    if not args.json:
        return demo.run(args)
    with contextlib.redirect_stdout(sys.stderr):        # progress; the result follows alone
        code = demo.run(args)
    summary = Path(args.out) / "summary.json"
    if code in (cli.FINE, cli.PERSON) and summary.exists():
        cli.put(summary.read_text())
    return code


if __name__ == "__main__":
    sys.exit(main())
