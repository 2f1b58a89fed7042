"""The simulator's commands: serve a scenario, plot its world, run the demo."""

import argparse
import asyncio
import sys
from pathlib import Path

from gateway.core.errors import ConfigError
from simulator.scenario import load

EPILOG = """\
examples
  python -m simulator serve --scenario shop --out /tmp/shop --speed 60
      all devices of the shop; /tmp/shop/endpoints.json says where they answer
  mbpoll -m rtu -a 1 -b 9600 -P none -t 3:float -B -0 -r 72 -c 1 -1 /tmp/shop/bus/rtu-1
      ask the grid meter for its import counter (kWh)
  python -m simulator world --scenario shop --hours 24 --csv > day.csv
      the same day as a table, as fast as this machine can
  python -m simulator demo
      simulator, broker, gateway and fleet together, with a page to look at
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line of `python -m simulator` (without demo, which has its own)."""
    top = argparse.ArgumentParser(prog="simulator", description=__doc__, epilog=EPILOG,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve all devices on ptys and ports")
    serve.add_argument("--out", type=Path, default=Path("sim-out"), metavar="DIR",
                       help="folder for endpoints.json, truth.jsonl and bus/ (default sim-out)")
    serve.add_argument("--speed", type=_speed, default=1,
                       help="simulated seconds in a real one, 1 .. 3600 (default 1)")
    world = commands.add_parser("world", help="compute a scenario without servers")
    world.add_argument("--hours", type=_hours, default=24.0, help="how long (default 24)")
    world.add_argument("--every", type=_every, default=60, metavar="S",
                       help="seconds between two rows of the table, 1 .. 86400 (default 60)")
    world.add_argument("--csv", action="store_true", help="one row per --every seconds")
    for command in (serve, world):
        command.add_argument("--scenario", default="shop",
                             help="a name in simulator/scenarios or a path (default shop)")
        command.add_argument("--origin", metavar="TIME",
                             help="simulated start, RFC 3339 (default: the scenario's)")
        command.add_argument("--seed", type=int, help="another seed than the scenario's")
    commands.add_parser("demo", help="everything together (demo --help)", add_help=False)
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


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2: a mistake in the scenario or arguments)."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["demo"]:
        from simulator.demo import run
        return run.main(words[1:])
    args = parser().parse_args(words)
    try:
        scenario = load(args.scenario, args.seed, args.origin)
        if args.command == "world":
            from simulator import plot
            return plot.write(scenario, args, sys.stdout)
        from simulator.serve import serve
        asyncio.run(serve(scenario, args.out, args.speed))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0                # `| head` has seen enough
    except OSError as error:
        print(f"simulator: {error}; give another --out", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
