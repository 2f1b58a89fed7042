"""Cabinets and fleets made with the product's own commands, at a fixed time."""

import datetime

from fleet.__main__ import main as fleet
from provisioning.__main__ import main as provisioning

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PARTS = """
[site]
id = "{site}"
cabinet = "{cabinet}"
off_grid = true
[factors]
id = "de-2024-direct-duck-1"
[[bus]]
name = "pv"
transport = "tcp"
protocol = "modbus"
host = "127.0.0.1"
port = 502
[[device]]
name = "pv"
bus = "pv"
unit = 1
profile = "sunspec-generic"
role = "pv"
rated_w = 8000
"""


def later(days):
    """Return a moment so many days after NOW."""
    return NOW + datetime.timedelta(days=days)


def make_fleet(data, *words):
    """Run `fleet init`; return the folder."""
    assert fleet(["init", "--data", str(data), "--now", NOW.isoformat(), *words]) == 0
    return data


def make_cabinet(folder, site="shop", cabinet="shop-1"):
    """Run `provisioning request`; return the cabinet's folder."""
    folder.mkdir(parents=True)
    parts = folder.with_suffix(".toml")
    parts.write_text(PARTS.format(site=site, cabinet=cabinet))
    assert provisioning(["request", "--parts", str(parts), "--out", str(folder)], now=NOW) == 0
    return folder


def request_of(folder):
    """Return the request in a cabinet's folder."""
    return next(folder.glob("*.request"))


def enrol(folder, data, *words, now=NOW):
    """Run `fleet enrol` for a cabinet's request; return the exit code."""
    return fleet(["enrol", str(request_of(folder)), "--data", str(data), "--now",
                  now.isoformat(), *[str(word) for word in words]])


def install(folder, answer=None, now=NOW, *words):
    """Run `provisioning install`; return the exit code."""
    path = answer or request_of(folder).with_suffix(".answer")
    return provisioning(["install", str(path), "--site", str(folder), *words], now=now)
