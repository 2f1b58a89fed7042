"""Outages that last: memory stays flat over a month, and a day drains over a thin line.

The whole gateway in virtual time (tests/support/sim_cabinet.py).  Reliability rows 10 and 14.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.ingest.live_table import unpack
from tests.support import sim_cabinet, sim_loop
from tests.support.sim_line import ThinBroker

ROOT = Path(__file__).resolve().parents[2]
DAYS, METERS, INTERVAL_S = 30, 2, 60            # L2 has 20 meters every 10 s
# Of the process; and of what lives in it, Python's blocks: a waiting batch has one or two.
GROWTH_KIB, BLOCKS_OF_A_BATCH = 1024, 2
LINE_BYTES_S, CAP_KBIT_S, PERCENT = 8_000, 64, 50
LIVE_S, NOISE = 10, 16_000                      # so noisy that a day is as long as one of L2
AGE_S = 60.0


def environment():
    """Return the environment that the unit in docs/operations.md gives a gateway."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    unit = text[text.index("wattproof-gateway.service"):].split("```")[0]
    found = dict(re.findall(r"^Environment=(\w+)=(\S+)$", unit, re.MULTILINE))
    assert "MALLOC_MMAP_THRESHOLD_" in found
    return os.environ | found | {"PYTHONHASHSEED": "0"}


@pytest.fixture(scope="module")
def month():
    """What a process holds on each of 30 days without a broker, and after the drain."""
    command = [sys.executable, "-m", "tests.support.sim_outage",
               *map(str, (DAYS, METERS, INTERVAL_S))]
    done = subprocess.run(command, cwd=ROOT, env=environment(),
                          capture_output=True, text=True, timeout=2400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == DAYS + 1
    return lines[:-1], lines[-1]


@pytest.mark.proof
@pytest.mark.timeout(2700)
def test_memory_stays_flat_over_thirty_days_without_a_broker(month, capsys):
    days, _ = month
    first, last = days[0], days[-1]
    with capsys.disabled():
        print(f"\noutage: day 1 {first}\noutage: day {DAYS} {last}")
    assert last["waiting"] - first["waiting"] == (DAYS - 1) * 96        # quarter hours
    assert last["records"] >= METERS * DAYS * 86_400 // INTERVAL_S
    assert last["rss_kib"] - first["rss_kib"] <= GROWTH_KIB
    assert last["blocks"] - first["blocks"] <= BLOCKS_OF_A_BATCH * (
        last["waiting"] - first["waiting"])
    for key in ("tasks", "descriptors", "queued", "under_way"):
        assert {one[key] for one in days} == {first[key]}, key


@pytest.mark.proof
@pytest.mark.timeout(2700)
def test_a_month_that_waited_goes_out_whole(month):
    days, end = month
    assert end["dropped"] == 0 and end["waiting"] <= 1
    assert end["fleet_seq"] == end["last_seq"] > days[-1]["records"]
    assert end["fleet_batches"] == end["batches"]


class Drain:
    """A cabinet whose line was away for some hours, and how old its live figures are since."""

    def __init__(self, cabinet, key_file):
        self.broker = ThinBroker(sim_cabinet.Yard(), LINE_BYTES_S)
        self.broker.down_s = float("inf")
        self.broker.on_publish = self._published
        self.fleet = sim_cabinet.Fleet(self.broker, key_file)
        self.gateway = sim_cabinet.Gateway(cabinet, self.broker)
        self.backlog_bytes, self.newest_s, self.ages_s, self.lives = 0, 0.0, [], 0

    def _published(self, _client, topic, payload):
        if topic.endswith("/up"):
            self.fleet.take(payload)
        elif topic.endswith("/live"):
            self.newest_s, self.lives = json.loads(unpack(payload))["at"], self.lives + 1

    async def run(self, hours):
        """Wait so long, let the line come back, and return how long the drain took, in s."""
        time, gateway = asyncio.get_running_loop().time, self.gateway
        figures = gateway.message
        gateway.message = lambda: figures() | {"at": time()}
        task = asyncio.create_task(gateway.run())
        await asyncio.sleep(3600 * hours - 60)      # the next quarter hour falls into the drain
        journal = gateway.writer.journal
        waiting = journal.batch_numbers()
        self.backlog_bytes = sum(len(journal.read_batch(number)) for number in waiting)
        self.broker.calm()
        began_s = self.newest_s = time()
        while self.fleet.batches < len(waiting) or gateway.uplink.outbox.waiting():
            await asyncio.sleep(1.0)
            self.ages_s.append(time() - self.newest_s)
        drain_s = time() - began_s
        gateway.stop.set()
        await task
        return drain_s


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("hours", "cap_kbit_s"), [(24, CAP_KBIT_S), (6, 0)],
                         ids=["a day, capped", "six hours, only the line is the limit"])
def test_live_figures_stay_young_while_a_backlog_drains_over_a_thin_line(hours, cap_kbit_s,
                                                                         capsys):
    with sim_cabinet.doors(NOISE) as folder:
        cabinet = sim_cabinet.make_cabinet(folder, 20, 60, live_s=LIVE_S, cap_kbit_s=cap_kbit_s,
                                           backlog_percent=PERCENT)

        async def run():
            drain = Drain(cabinet, folder / "site" / "fleet" / "receipt.key")
            return drain, await drain.run(hours)
        drain, drain_s = sim_loop.run(run)
    ages_s = sorted(drain.ages_s)
    p99_s = ages_s[len(ages_s) * 99 // 100]
    share_s = drain.backlog_bytes / (LINE_BYTES_S * PERCENT / 100)
    with capsys.disabled():
        print(f"\ndrain: {drain.backlog_bytes} bytes in {drain_s:.0f} s of {share_s:.0f} at "
              f"{PERCENT} %, live age p99 {p99_s:.1f} s, {drain.lives} live messages")
    assert drain.backlog_bytes >= 60_000 * hours and drain.lives >= drain_s / (2 * LIVE_S)
    assert p99_s <= AGE_S
    assert drain_s <= 1.25 * share_s + 120
    assert drain.broker.carried <= LINE_BYTES_S * (drain_s + 20)
