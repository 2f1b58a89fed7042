"""A gateway made of paper: seals real batches of an invented shop, with real keys.

Powers are constant, so every energy is known by hand: POWER_W x time.  Nothing of the fleet
is used here, only the formats of gateway.core.
"""

import hashlib
import json
import zlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec import cbor, record
from gateway.core.evidence import batch, chain
from gateway.core.live_dictionary import DICTIONARY, FORMAT
from gateway.core.measurand import BY_NAME
from gateway.core.reading import CLOCK_SIMULATED, Absent, ClockState, Point, Stream

ORIGIN_MS = 1_780_272_000_000       # 2026-06-01T00:00:00Z
STEP_MS = 10_000
QUARTER_MS = 900_000
UNCERTAINTY_MS = 1000
# (name, kind, role, rated W, {measurand: W}); a counter starts at 100 kWh.
METERS = (
    ("grid", "meter", "grid", 17000,
     {"energy_active_import_total": 720, "energy_active_export_total": 0}),
    ("node-1-meter", "meter", "it", 1000, {"energy_active_import_total": 360}),
    ("node-2-meter", "meter", "it", 1000, {"energy_active_import_total": 180}),
    ("cooling", "meter", "cooling", 2000, {"energy_active_import_total": 180}),
    ("lighting", "meter", "lighting", 1000, {"energy_active_import_total": 360}),
    ("battery-meter", "meter", "battery", 6000,
     {"energy_active_import_total": 720, "energy_active_export_total": 0}),
    ("other", "meter", "other", 1000, {"energy_active_import_total": 360}),
    ("pv", "pv", "pv", 9000, {"energy_yield_total": 1440}),
)
NODES = (("node-1", 32, "node-1-meter", ("pos", "vision")),
         ("node-2", 32, "node-2-meter", ("batch",)))
START_WH = 100_000


def _node_points(workloads):
    host = [Point(BY_NAME[name].id, -3 if name.startswith("cpu") else 0, "")
            for name in ("cpu_time", "cpu_cores", "tasks_running", "tasks_total")]
    for name in workloads:
        host += [Point(BY_NAME["cpu_time"].id, -3, name),
                 Point(BY_NAME["cores_reserved"].id, -3, name),
                 Point(BY_NAME["tasks_total"].id, 0, name)]
    return tuple(host)


def _schema():
    streams = [Stream(name, tuple(Point(BY_NAME[m].id, 0, "") for m in powers))
               for name, _, _, _, powers in METERS]
    streams.append(Stream("bms", (Point(BY_NAME["state_of_charge"].id, -1, ""),)))
    streams += [Stream(name, _node_points(loads)) for name, _, _, loads in NODES]
    return tuple(streams)


SCHEMA = _schema()
DESCRIPTOR = {
    "v": 1, "site": "shop", "name": "Corner shop", "cabinet": "shop-1", "timezone": "UTC",
    "interval_s": 10, "interval_ms_step": 10_000, "batch_minutes": 15,
    "devices": [{"name": name, "profile": "paper", "kind": kind, "role": role, "rated_w": rated,
                 "counter_step_mwh": 1000, "ct_ratio": 1, "meter_class": "", "ct_class": "",
                 "feeds": [name[:6]] if role == "it" else []}
                for name, kind, role, rated, _ in METERS]
    + [{"name": "bms", "profile": "paper", "kind": "bms", "role": None, "rated_w": 5000,
        "counter_step_mwh": 0, "ct_ratio": 1, "meter_class": "", "ct_class": "", "feeds": []}]
    + [{"name": name, "profile": "compute-prometheus", "kind": "node", "role": None,
        "rated_w": 450, "counter_step_mwh": 0, "ct_ratio": 1, "meter_class": "", "ct_class": "",
        "feeds": []} for name, _, _, _ in NODES],
    "battery": {"capacity_wh": 10000, "eta_charge": "0.96", "eta_discharge": "0.96",
                "standby_w": 0},
    "nodes": [{"name": name, "cores": cores, "idle_w": 120, "meter": meter}
              for name, cores, meter, _ in NODES],
    "workloads": [{"node": name, "name": load} for name, _, _, loads in NODES for load in loads],
    "factor_set": "de-2024-direct-duck-1",
}
CONFIG_BYTES = cbor.encode(DESCRIPTOR)
CONFIG_HASH = hashlib.sha256(CONFIG_BYTES).digest()


def values(stream, seconds):
    """Return the values of a stream after so many seconds: counters rise, gauges stand."""
    if stream < len(METERS):
        return tuple(START_WH + watts * seconds // 3600 for watts in METERS[stream][4].values())
    if stream == len(METERS):
        return (500,)                                       # 50.0 % state of charge
    loads = NODES[stream - len(METERS) - 1][3]
    host = [16_000 * seconds, 32_000, 3, seconds // 60]     # half of 32 cores busy
    for _ in loads:
        host += [8_000 * seconds, 8_000, seconds // 120]
    return tuple(host)


class PaperGateway:
    """Seals one batch after the other; `at_s` is the paper time since ORIGIN_MS."""

    def __init__(self, cabinet="shop-1", journal_id=bytes(16), key=None):
        self.cabinet, self.journal_id = cabinet, journal_id
        self.key = key or Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.kid = hashlib.sha256(self.public).digest()[:8]
        self.number, self.next_seq, self.boot, self.at_s = 1, 1, 1, 0
        self.prev = chain.start(cabinet, journal_id)

    def entry(self, site="shop"):
        """Return the registry entry of this gateway."""
        return {"device": self.cabinet, "site": site, "name": "Corner shop", "timezone": "UTC",
                "evidence_key_hex": self.public.hex(), "kid_hex": self.kid.hex(),
                "tls_sha256": "00" * 32, "enrolled": "2026-06-01T00:00:00Z"}

    def enrol(self, data, site="shop"):
        """Write the registry entry below a fleet's data folder."""
        (data / "registry").mkdir(parents=True, exist_ok=True)
        (data / "registry" / f"{self.cabinet}.json").write_text(json.dumps(self.entry(site)))

    def records(self, seconds, with_config, silent=()):
        """Return the records of the next seconds; streams in `silent` have no values."""
        seq, found = self.next_seq, []
        if with_config:
            found.append(record.EventRecord(seq, self.at_s * 1000, record.CONFIG,
                                            [CONFIG_HASH, CONFIG_BYTES]))
            seq += 1
        for at in range(self.at_s, self.at_s + seconds, STEP_MS // 1000):
            for stream, one in enumerate(SCHEMA):
                got = values(stream, at)
                if stream in silent:
                    got = tuple(Absent(1) for _ in one.points)
                found.append(record.ScanRecord(seq, at * 1000, stream, got))
                seq += 1
        return found

    def seal(self, records=None, seconds=900, **changes):
        """Return the next sealed batch and move on."""
        records = records or self.records(seconds, self.number == 1)
        body = batch.make_body(SCHEMA, records, batch.CODEC_DEFLATE, deflate)
        content = batch.Batch(
            self.cabinet, self.journal_id, self.number, self.boot, records[0].seq,
            records[-1].seq, self.prev, CONFIG_HASH,
            ClockState(CLOCK_SIMULATED, 0, ORIGIN_MS, UNCERTAINTY_MS),
            batch.CODEC_DEFLATE, body)._replace(**changes)
        payload = batch.encode_payload(content)
        self.prev = chain.chain_hash(payload)
        self.number, self.next_seq = self.number + 1, records[-1].seq + 1
        self.at_s += seconds
        return batch.seal(payload, self.kid, self.key.sign)


def run_shop(ingest, gateway, change=lambda one: one, **changes):
    """Let the paper shop run nine quarter hours under a descriptor with these changes.

    change: of each record, before it is sealed.
    """
    data = cbor.encode(DESCRIPTOR | changes)
    digest = hashlib.sha256(data).digest()
    for place in range(9):
        records = [change(one) for one in gateway.records(900, False)]
        if place == 0:
            told = record.EventRecord(0, 0, record.CONFIG, [digest, data])
            records = [one._replace(seq=1 + number) for number, one in enumerate([told, *records])]
        assert ingest.process_one("shop-1",
                                  gateway.seal(records, config_hash=digest)).code == "admit"


def deflate(data):
    """Return raw deflate."""
    machine = zlib.compressobj(6, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush()


def live(cabinet="shop-1", **changes):
    """Return a live message as it travels."""
    return packed(figures(cabinet, **changes))


def packed(message):
    """Return any JSON value as a live message travels (docs/formats.md)."""
    machine = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return FORMAT + machine.compress(json.dumps(message).encode()) + machine.flush()


def figures(cabinet="shop-1", **changes):
    """Return the figures of a live message."""
    message = {
        "v": 1, "device": cabinet, "boot": 1, "seq": 4711, "utc": "2026-06-01T12:34:56.000Z",
        "clock": {"source": "simulated", "uncertainty_s": 3.0},
        "power_w": {"grid": 720.0, "pv": 1440.0, "battery": -720.0, "genset": None, "it": 540.0,
                    "cooling": 180.0, "lighting": 360.0, "other": 360.0, "residual": 0.0},
        "nodes": [{"name": "node-1", "power_w": 360.0, "cpu_share": 0.5, "cores": 32,
                   "tasks_running": 3, "tasks_per_min": 1.5},
                  {"name": "node-2", "power_w": 180.0, "cpu_share": 0.25, "cores": 32,
                   "tasks_running": 1, "tasks_per_min": 0.5}],
        "carbon": {"grid_g_per_kwh": 363.0, "bus_g_per_kwh": 121.0, "core_hour_g": 1.9,
                   "battery_g_per_kwh": 131.0, "renewable_share_it": 0.667},
        "battery": {"soc": 0.5, "stored_wh": 5000.0},
        "climate": [{"name": "climate", "temperature_c": 24.1, "humidity": 41.0}],
        "journal": {"durable_seq": 4711, "acknowledged_seq": 4600, "batches_waiting": 0,
                    "state": "ok"},
        "devices": [{"name": name, "ok": True, "age_s": 4} for name, *_ in METERS]
        + [{"name": "bms", "ok": False, "reason": "no-reply", "age_s": 95}],
    }
    message.update(changes)
    return message
