"""What the benches put around a gateway: a site with keys, a broker over TLS, a fleet that signs.

Everything runs on this machine's loopback, as processes of their own; only the gateway's CPU
is counted.
"""

import contextlib
import datetime
import os
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import meter
from tests.bench.load import ROLES
from tests.bench.process import WAIT_S, Process, python, running
from tests.support import one_site as create

CABINET = "cab-bench"
FACTORS = "de-2024-direct-duck-1"
# The load's roles as cabinet.toml names them.
ROLE_NAMES = {"misc": "other"}


class Site(NamedTuple):
    """A made site: its folder (cabinet.toml in it), the folder of profiles, the broker's port."""

    folder: Path
    profiles: Path
    port: int


def free_port() -> int:
    """Return a TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_site(folder: Path, ports: list[int], journal: dict[str, Any], port: int,
              at_once: int = 1) -> Site:
    """Make keys, certificates and cabinet.toml of 20 meters, one bus for each TCP port.

    journal: what differs from the defaults of [journal].  port: of the broker.  at_once:
    questions under way on each bus.
    """
    parts = {
        "site": {"id": "bench", "name": "Bench", "timezone": "UTC", "cabinet": CABINET},
        "battery": {"capacity_wh": 10_000, "eta_charge": 0.96, "eta_discharge": 0.96},
        "journal": journal, "factors": {"id": FACTORS},
        "uplink": {"host": "127.0.0.1", "port": port, "live_s": 5},
        "bus": [{"name": f"bus-{i:02d}", "transport": "tcp", "protocol": "modbus",
                 "host": "127.0.0.1", "port": one, "at_once": at_once}
                for i, one in enumerate(ports)],
        "device": [{"name": f"meter-{i:02d}", "bus": f"bus-{i:02d}", "unit": 1,
                    "profile": meter.STEM, "role": ROLE_NAMES.get(role, role), "rated_w": 20_000}
                   for i, role in enumerate(ROLES[:len(ports)])],
    }
    profiles = folder / "profiles"
    meter.write_profile(profiles / "meters")
    from drivers.links import profile_files
    profile_files.FOLDER = profiles             # the site is checked against the bench's meter
    create.site(parts, folder / "site", datetime.datetime.now(datetime.UTC))
    return Site(folder / "site", profiles, port)


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """Give a folder on this machine's disk, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="wattproof-bench-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def broker(made: Site) -> Iterator[Process]:
    """Give a running mosquitto of a site, ready to be connected to."""
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    found = shutil.which("mosquitto", path=places)
    if found is None:
        raise SystemExit("mosquitto is not on this machine: apt-get install mosquitto")
    command = ["env", f"--chdir={made.folder / 'broker'}", found, "-c", "mosquitto.conf"]
    with running("mosquitto", command, made.folder / "broker.log") as process:
        await_port(made.port)
        yield process


def await_port(port: int) -> None:
    """Return as soon as a port of the loopback takes connections."""
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise SystemExit(f"nothing listens on port {port}")


def await_file(path: Path) -> None:
    """Return as soon as a file is there."""
    end_s = time.monotonic() + 4 * WAIT_S
    while not path.exists():
        select.select([], [], [], 0.01)
        if time.monotonic() > end_s:
            raise SystemExit(f"{path} does not come")


def await_text(log: Path, text: str) -> None:
    """Return as soon as a text stands in a log."""
    end_s = time.monotonic() + 4 * WAIT_S
    while text not in log.read_text():
        select.select([], [], [], 0.01)
        if time.monotonic() > end_s:
            raise SystemExit(f"{log} does not say {text!r}:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def fleet(made: Site) -> Iterator[Process]:
    """Give a running stub of the fleet, connected."""
    command = python("tests.bench.fleet_stub", str(made.folder), str(made.port))
    with running("fleet stub", command, made.folder / "fleet.transparency.merkle_log") as process:
        process.line()
        yield process


def gateway_command(made: Site) -> list[str]:
    """Return the command line of the gateway of a site."""
    return python("tests.bench.gateway_process", str(made.profiles), "run", "--config",
                  str(made.folder / "cabinet.toml"))
