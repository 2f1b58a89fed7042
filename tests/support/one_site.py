"""A fleet with one cabinet, in one folder, with the product's own steps: what most tests need.

    SITE/cabinet.toml keys/ ca/ fleet/   the cabinet, as `request` and `install` leave it
    SITE/of-the-fleet/                   the fleet's data folder, as `init` and `enrol` leave it
    SITE/broker                          its broker's files

The fleet's own keys are reached under the names that tests use: SITE/fleet/client.crt, client.key
and receipt.key.
"""

import shutil

from fleet.authority import enrol as enrolment
from fleet.authority import setup
from provisioning import create, install
from provisioning.create import cabinet_of

FLEET = "of-the-fleet"
COPIES = ("client.crt", "client.key", "receipt.key", "receipt.pub")


def site(parts, out, now):
    """Make fleet and cabinet in `out`; parts: as parts.load gives it."""
    uplink = {"host": "127.0.0.1", "port": 8883, **parts.get("uplink", {})}
    made = create.site({**parts, "uplink": uplink}, out, now)
    setup.create(out / FLEET, setup.BrokerAddress(uplink["host"], uplink["port"]), now,
                 parts.get("factors", {}).get("id"))
    join(out, out / FLEET, now)
    (out / "broker").symlink_to(out / FLEET / "broker")
    for name in COPIES:
        if not (out / "fleet" / name).exists():
            shutil.copy(out / FLEET / "keys" / name, out / "fleet" / name)
    return made


def join(folder, data, now):
    """Enrol a cabinet's folder at the fleet in `data` and install the answer."""
    name = cabinet_of(folder)["site"]["cabinet"]
    done = enrolment.enrol(data, (folder / f"{name}.request").read_bytes(), now)
    assert install.install(folder, done.answer, now).mistakes == []
    return done


def enrol(folder, data, _now):
    """Put the fleet of a site's folder where a test wants it."""
    shutil.copytree(folder / FLEET, data, dirs_exist_ok=True)
    return data / "registry" / f"{cabinet_of(folder)['site']['cabinet']}.json"
