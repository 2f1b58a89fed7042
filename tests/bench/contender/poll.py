"""Poll: the gateway at the harness' meters, with journal, signature and uplink; or polling alone.

    run.py poll --add "name=wattproof;cmd=.venv/bin/python -m tests.bench.contender.poll"

With "tests.bench.contender.poll 2" both reads of a poll go out at once.

BENCH_CABINET names the harness' JSON.  At 1 Hz this process becomes `python -m gateway run`; the
broker with TLS and the fleet it talks to run outside of its tree.  At full rate (hz 0) it is the
gateway's poller alone, for the gateway itself polls at whole seconds.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import meter, rig
from tests.bench.contender import side
from tests.bench.process import ROOT, python


def main() -> None:
    """Become the contender."""
    cabinet = json.loads(Path(os.environ["BENCH_CABINET"]).read_text())
    ports = [one["port"] for one in cabinet["devices"]]
    at_once = sys.argv[1] if len(sys.argv) > 1 else "1"
    folder = Path(tempfile.mkdtemp(prefix="wattproof-contender-"))
    if cabinet["hz"] == 0:
        meter.write_profile(folder)
        os.chdir(ROOT)
        command = python("tests.bench.poll_loop", str(folder), at_once, *map(str, ports))
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT)})
    made = rig.make_site(folder, ports, {"interval_s": 1, "batch_minutes": 1}, rig.free_port(),
                         int(at_once))
    side.begin(made)
    side.become_gateway(made)


if __name__ == "__main__":
    main()
