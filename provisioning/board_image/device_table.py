"""board.cbor: what a board must know of its site, compiled from cabinet.toml and profiles.

A board neither parses TOML nor plans reads nor knows measurands: everything that a PC can
work out beforehand is worked out here.  The keys are explained in docs/board.md.
"""

import tomllib
from pathlib import Path

import drivers
from drivers import planner, profile, registers
from gateway.config.load import load
from gateway.config.values import CabinetSettings, DeviceSettings
from gateway.core.codec import cbor
from gateway.core.codec.schema import encode_schema
from gateway.core.errors import ConfigError
from gateway.core.measurand import BY_ID, COUNTER
from gateway.core.reading import Stream
from provisioning import identity

SEGMENT_BYTES = 4096           # one flash block: a start reads all slots into memory
RAM_BYTES = 6144            # records that may wait while flash fails
KEEP_BYTES = 16384          # acknowledged batches kept on flash: each costs a board 200 bytes
DIGITS_MAX = 15             # as drivers/register_driver.py: beyond is a broken float
METERS_MAX = 8              # their schema and rounds must fit in the heap


def compile_table(cabinet_file: Path, evidence_public: bytes) -> bytes:
    """Return the bytes of board.cbor.  evidence_public: 32 raw bytes.

    Raises ConfigError for a cabinet that a board cannot run, saying why.
    """
    cabinet = load(cabinet_file)
    _check_buses(cabinet)
    bus = cabinet.buses[0]
    meters = [_meter(device, stream) for device, stream in zip(
        cabinet.devices, cabinet.schema, strict=True)]
    scale = cabinet.scale
    journal, uplink = cabinet.journal, cabinet.uplink
    table = {
        "v": 1, "device": cabinet.site.cabinet, "config_hash": cabinet.config_hash,
        "descriptor": cabinet.descriptor, "schema": encode_schema(cabinet.schema),
        "kid": identity.key_id(evidence_public),
        "clock": scale and [scale.speed, scale.origin_utc_ms, scale.started_unix_ms],
        "bus": [bus.host, bus.port, round(1000 * bus.timeout_s)], "meters": meters,
        "interval_ms": 1000 * journal.interval_s,
        "times": [900 * journal.loss_window_s, 60000 * journal.batch_minutes],
        "broker": [uplink.host, uplink.port, uplink.host],
        "slot_bytes": SEGMENT_BYTES, "ram_bytes": RAM_BYTES, "keep_bytes": KEEP_BYTES,
    }
    encoded: bytes = cbor.encode(table)
    return encoded


def measurands(cabinet_file: Path) -> set[int]:
    """Return the ids of everything that the cabinet's devices measure."""
    return {point.measurand for stream in load(cabinet_file).schema for point in stream.points}


def _check_buses(cabinet: CabinetSettings) -> None:
    buses = cabinet.buses
    if len(buses) != 1 or (buses[0].transport, buses[0].protocol) != ("tcp", "modbus"):
        kinds = ", ".join(f"{bus.name} ({bus.protocol} over {bus.transport})" for bus in buses)
        raise ConfigError(f"a board has one Modbus TCP bus so far; this cabinet has {kinds}")
    if len(cabinet.devices) > METERS_MAX:
        raise ConfigError(f"a board has at most {METERS_MAX} meters; "
                          f"this cabinet has {len(cabinet.devices)}")


def _meter(device: DeviceSettings, stream: Stream) -> list[object]:
    """Return the table of one meter; layout: gateway/micro/meter.py."""
    folder = Path(drivers.__file__).parent / "profiles"
    path = next(folder.glob(f"*/{device.profile}.toml"))
    made = profile.make(device.profile, tomllib.loads(path.read_text(encoding="utf-8")))
    if made.protocol != "modbus":
        raise ConfigError(f"{device.name}: a board reads fixed registers so far, "
                          f"{device.profile} speaks {made.protocol}")
    positions = [i for i, point in enumerate(made.points) if point.group == "journal"]
    spans = []
    for span in planner.plan(profile.wanted(made, ("journal",)), made.limits, ()):
        wanted = [(made.points[one.key], one.address - span.address, positions.index(one.key))
                  for one in span.wanted]
        spans.append([span.function, span.address, span.counts[0],
                      b"".join(_row(*one, stream) for one in wanted),
                      {position: list(point.absent) for point, _,
                       position in wanted if point.absent}])
    return [device.name, device.unit, made.transport.min_gap_ms,
            len(stream.points), spans]


def _row(point: profile.RegisterPoint, cell: int, position: int, stream: Stream) -> bytes:
    """Return the seven bytes of one point; ValueError for what does not fit them."""
    known = stream.points[position]
    return bytes((position, cell, registers.width(point.format),
                  sorted(registers.FORMATS).index(point.format),
                  known.exponent - point.exponent + 128, DIGITS_MAX - known.exponent,
                  BY_ID[known.measurand].kind == COUNTER))
