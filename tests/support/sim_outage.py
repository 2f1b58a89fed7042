"""A month without the broker: `python -m tests.support.sim_outage DAYS METERS INTERVAL_S`.

A process of its own, so that its memory means something.  Each virtual day prints a JSON line
of what the process holds; then the broker comes back, and the last line tells how everything
went out.
"""

import asyncio
import gc
import json
import os
import sys

from gateway import app
from gateway.service.health import cpu_s, rss_kib
from tests.support import sim_cabinet, sim_loop
from tests.support.sim_broker import Broker

DAY_S = 86_400
REAL_CLIENT_S = 3600.0          # a real client with its TLS context is made, and dropped, so often
LIVE_S = 60
DRAIN_S = 7200.0


class Month:
    """One run: the gateway, its broker, and the count of what the process holds."""

    def __init__(self, cabinet, fleet_key):
        self.broker = Broker(sim_cabinet.Yard())
        self.broker.down_s = float("inf")
        self.fleet = sim_cabinet.Fleet(self.broker, fleet_key)
        self.broker.on_publish = self._published
        self.gateway = sim_cabinet.Gateway(cabinet, self.broker)
        self.gateway.on_client = self._make_real
        self._next_real_s = 0.0

    def _published(self, _client, topic, payload):
        if topic.endswith("/up"):
            self.fleet.take(payload)

    def _make_real(self):
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_real_s:
            self._next_real_s = now_s + REAL_CLIENT_S
            self.gateway.uplink.real_client()

    def holds(self):
        """Return what the process holds now."""
        gc.collect()
        journal, outbox = self.gateway.writer.journal, self.gateway.uplink.outbox
        return {
            "day": round(asyncio.get_running_loop().time() / DAY_S, 2), "rss_kib": rss_kib(),
            "blocks": sys.getallocatedblocks(), "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "queued": len(self.gateway.writer.waiting) + len(
                journal._buffer.queue),     # noqa: SLF001  a queue that nothing else shows
            "under_way": len(outbox.under_way()), "waiting": outbox.waiting(),
            "records": journal.durable_seq, "cpu_s": round(cpu_s(), 1)}

    async def live(self, days):
        """Live through the outage and the drain; print a line per day and one at the end."""
        task = asyncio.create_task(self.gateway.run())
        for day in range(1, days + 1):
            await asyncio.sleep(day * DAY_S - asyncio.get_running_loop().time())
            print(json.dumps(self.holds()), flush=True)
        drain_s = await self._drain()
        end = self.holds() | {"drain_s": drain_s}
        self.gateway.stop.set()
        await task
        journal = self.gateway.writer.journal
        end |= {"fleet_seq": self.fleet.last_seq, "last_seq": journal.last_seq,
                "fleet_batches": self.fleet.batches, "batches": len(journal.batch_numbers()),
                "dropped": journal.stats()["dropped_scans"]}
        print(json.dumps(end), flush=True)

    async def _drain(self):
        """Let the broker come back; return how long it took until nothing waited, in s."""
        self.broker.calm()
        began_s = asyncio.get_running_loop().time()
        while self.gateway.uplink.outbox.waiting() > 1:
            if asyncio.get_running_loop().time() > began_s + DRAIN_S:
                raise AssertionError("the backlog is not out after two hours")
            await asyncio.sleep(1.0)
        return asyncio.get_running_loop().time() - began_s


def main(given):
    """Run for so many days with so many meters; return 0."""
    days, meters, interval_s = (int(one) for one in given)
    with sim_cabinet.doors() as folder:
        cabinet = sim_cabinet.make_cabinet(folder, meters, interval_s, live_s=LIVE_S)

        async def run():
            month = Month(cabinet, folder / "site" / "fleet" / "receipt.key")
            gc.freeze()                         # as gateway.app.run does
            gc.set_threshold(*app.COLLECT)
            await month.live(days)
        sim_loop.run(run)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
