"""A site for a board, in a folder: two meters, fresh keys, and umqtt.simple if it was fetched.

    site = with_umqtt(make(tmp_path), cache)        the folder, ready for provisioning image
"""

import datetime

from provisioning import parts
from provisioning.board_image import build
from tests.support import one_site as create

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
PARTS = """
[site]
id = "kiosk"
cabinet = "kiosk-1"
timezone = "Europe/Berlin"
[factors]
id = "de-2024-direct-duck-1"
[[bus]]
name = "meters"
transport = "{transport}"
protocol = "modbus"
{place}
timeout_s = 1.0
[[device]]
name = "grid"
bus = "meters"
unit = 1
profile = "eastron-sdm630-v2"
role = "grid"
rated_w = 17000
[[device]]
name = "other"
bus = "meters"
unit = 2
profile = "eastron-sdm120"
role = "other"
rated_w = 2000
"""
TCP = 'host = "127.0.0.1"\nport = 1502'


def make(folder, transport="tcp", place=TCP):
    """Make a site in folder/site and return its path."""
    file = folder / "parts.toml"
    file.write_text(PARTS.format(transport=transport, place=place))
    create.site(parts.load(file), folder / "site", NOW)
    return folder / "site"


def with_umqtt(folder, cache):
    """Return `folder` (a site) with umqtt.simple in it, fetched at most once per cache."""
    kept = cache / "umqtt_simple.py"
    target = folder / build.UMQTT_KEPT
    target.parent.mkdir(exist_ok=True)
    if kept.is_file():
        target.write_bytes(kept.read_bytes())
    kept.write_bytes(build.umqtt(folder))
    return folder
