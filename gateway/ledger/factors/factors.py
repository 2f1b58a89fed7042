"""Emission factors: pinned sets, looked up by UTC, never invented.

See docs/accounting.md section 8.  A set is a TOML file of decimal strings; its sha256 is taken
over the canonical content, so layout and comments do not change it.  A missing factor is None.
One set has one scope (direct or lifecycle): totals never mix the two.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gateway.core.counter import HOUR_MS
from gateway.core.errors import ConfigError

DATA = Path(__file__).parent / "data"
SET_BYTES_MAX = 16 * 1024 * 1024        # an hourly series of ten years is about 4 MB
FORMAT = 1
SCOPES = ("direct", "lifecycle")


class MixedFactors(ConfigError):
    """Factors of different scopes were to be added into one total."""

    code = "mixed-factors"


@dataclass(frozen=True)
class FactorRecord:
    """One published factor: g/kWh in [from_ms, to_ms) UTC; weights: 24 UTC hours or empty."""

    id: str
    version: int
    published: str
    from_ms: int
    to_ms: int
    g_per_kwh: Decimal
    weights: tuple[Decimal, ...] = ()
    estimated: bool = False
    basis: str = ""
    status: str = ""
    source: str = ""


@dataclass(frozen=True)
class Factor:
    """A factor at a moment; g_per_kwh None: undefined, status says why ("missing")."""

    g_per_kwh: float | None
    id: str | None
    scope: str
    basis: str
    estimated: bool
    status: str


@dataclass(frozen=True)
class FactorSet:
    """A pinned set of factors of one scope.  records: by source name (grid, pv, ...).
    fuel_g_per_litre: by fuel name.  estimated: any record of it is."""

    id: str
    version: int
    sha256: str
    zone: str
    scope: str
    estimated: bool
    records: Mapping[str, Sequence[FactorRecord]]
    fuel_g_per_litre: Mapping[str, Decimal]

    @property
    def basis(self) -> str:
        """Basis of the grid factor, for the report."""
        return "; ".join(dict.fromkeys(record.basis for record in self.records.get("grid", ())))

    @property
    def unconfirmed(self) -> list[str]:
        """Ids of records whose primary source has not been seen."""
        return sorted(record.id for records in self.records.values() for record in records
                      if record.status != "confirmed")

    def at(self, utc_ms: int, source: str = "grid") -> Factor:
        """Return the factor of a source at a moment; its g_per_kwh is None when missing."""
        record = lookup(self.records.get(source, ()), utc_ms)
        if record is None:
            return Factor(None, None, self.scope, "", False, "missing")
        value = record.g_per_kwh
        if record.weights:
            value *= record.weights[utc_ms // HOUR_MS % 24]
        return Factor(float(value), record.id, self.scope, record.basis, record.estimated, "ok")

    def mean(self, start_ms: int, length_ms: int, source: str = "grid") -> float | None:
        """Return the time-weighted factor of an interval, split where it changes; None if any
        part of it has none."""
        end_ms = start_ms + length_ms
        changes = [(cut, self.at(cut, source).g_per_kwh)
                   for cut in self._changes(start_ms, end_ms, source)]
        if len(changes) == 1:
            return changes[0][1]
        parts = split_interval(start_ms, end_ms, 1000.0, changes)       # 1 kWh: g are g/kWh
        known = [part.carbon_g for part in parts if part.carbon_g is not None]
        return sum(known) if len(known) == len(parts) else None

    def means(self, start_ms: int, length_ms: int) -> dict[str, float | None]:
        """Return the interval's factor of every source of the set."""
        return {source: self.mean(start_ms, length_ms, source) for source in self.records}

    def _changes(self, start_ms: int, end_ms: int, source: str) -> list[int]:
        hours = range((start_ms // HOUR_MS + 1) * HOUR_MS, end_ms, HOUR_MS)
        edges = {edge for record in self.records.get(source, ())
                 for edge in (record.from_ms, record.to_ms) if start_ms < edge < end_ms}
        return sorted({start_ms, *hours, *edges})


def lookup(records: Iterable[FactorRecord], utc_ms: int) -> FactorRecord | None:
    """Return the record valid at a moment, or None.  Validity is right-open; of several the
    latest published wins, then the higher version."""
    valid = [record for record in records if record.from_ms <= utc_ms < record.to_ms]
    return max(valid, key=lambda r: (r.published, r.version), default=None)


@dataclass(frozen=True)
class FactorPart:
    """A part of an interval with one factor; carbon_g None if it has none."""

    energy_wh: float
    carbon_g: float | None


def split_interval(start: float, end: float, energy_wh: float,
                   changes: Sequence[tuple[float, float | None]]) -> list[FactorPart]:
    """Split an interval's energy by time where the factor changes.

    See docs/accounting.md section 8.2.
    changes: (moment, g/kWh from then on), moments rising, in the unit of start and end.
    Before the first moment the factor is undefined."""
    marks: list[tuple[float, float | None]] = [(start, None)]
    for moment, factor in changes:
        if moment <= start:
            marks = [(start, factor)]
        elif moment < end:
            marks.append((moment, factor))
    parts = []
    for (moment, factor), after in zip(marks, [*(m for m, _ in marks[1:]), end], strict=True):
        wh = energy_wh * (after - moment) / (end - start)
        parts.append(FactorPart(wh, None if factor is None else wh * factor / 1000))
    return parts


def weighted(rows: Sequence[tuple[Decimal, Decimal]]) -> tuple[Decimal | None, Decimal]:
    """Return (factor, energy): the mean of (energy, factor) rows by energy, None without.

    For market-based factors: issue 14."""
    energy = sum((mwh for mwh, _ in rows), Decimal(0))
    carbon = sum((mwh * ef for mwh, ef in rows), Decimal(0))
    return (carbon / energy if energy else None), energy


# --- files -------------------------------------------------------------------------------


def load(name: str | Path) -> FactorSet:
    """Return a set by path (ends in .toml) or by the id of a packaged one.

    Raises ConfigError naming the file, or the ids there are."""
    path = Path(name)
    if path.suffix != ".toml":
        path = DATA / f"{name}.toml"
        if not path.is_file() or path.parent != DATA:
            known = ", ".join(sorted(file.stem for file in DATA.glob("*.toml")))
            raise ConfigError(f"no factor set {str(name)!r}; packaged sets: {known}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the factor set: {error.strerror}") from error
    return parse(data, str(path))


def parse(data: bytes, where: str) -> FactorSet:
    """Return the set that a file's bytes describe; where: for messages.  Raises ConfigError."""
    if len(data) > SET_BYTES_MAX:
        raise ConfigError(f"{where}: {len(data)} bytes, at most {SET_BYTES_MAX} are read")
    try:
        content = tomllib.loads(data.decode("utf-8"), parse_float=_refuse_float)
        return _build(content, sha256=canonical_sha256(content))
    except KeyError as error:
        raise ConfigError(f"{where}: key {error} is missing") from error
    except (ValueError, TypeError, AttributeError, InvalidOperation) as error:
        raise ConfigError(f"{where}: not a factor set: {error}") from error


FactorContent = Mapping[str, Any]      # a factor file's JSON, or a table of it


def canonical_sha256(content: FactorContent) -> str:
    """Return the hash of the content as JSON: keys sorted, no spaces, UTF-8."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _refuse_float(text: str) -> float:
    raise ValueError(f"{text}: write numbers as decimal strings")


def _build(content: FactorContent, sha256: str) -> FactorSet:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, this program reads {FORMAT}")
    if content["scope"] not in SCOPES:
        raise ValueError(f"scope {content['scope']!r} is none of {', '.join(SCOPES)}")
    shapes = {shape["name"]: _weights(shape) for shape in content.get("shape", ())}
    records: dict[str, list[FactorRecord]] = {}
    for source in content["source"]:
        if source.get("scope", content["scope"]) != content["scope"]:
            raise MixedFactors(f"source {source['name']}: scope {source['scope']} in a set of "
                               f"scope {content['scope']}")
        records.setdefault(source["name"], []).append(_record(source, content, shapes))
    return FactorSet(
        id=content["id"], version=content["version"], sha256=sha256, zone=content["zone"],
        scope=content["scope"], records=records,
        estimated=any(record.estimated for each in records.values() for record in each),
        fuel_g_per_litre={fuel["name"]: _fuel(fuel) for fuel in content.get("fuel", ())})


def _record(source: FactorContent, content: FactorContent,
            shapes: Mapping[str, tuple[Decimal, ...]]) -> FactorRecord:
    return FactorRecord(
        id=source["id"], version=source.get("version", content["version"]),
        published=source.get("published", content["published"]),
        from_ms=utc_ms(source["from"]), to_ms=utc_ms(source["to"]),
        g_per_kwh=_decimal(source["g_per_kwh"]),
        weights=shapes[source["shape"]] if "shape" in source else (),
        estimated=source["estimated"], basis=source["basis"], status=source["status"],
        source=source["source"])


def _weights(shape: FactorContent) -> tuple[Decimal, ...]:
    weights = tuple(_decimal(text) for text in shape["weights"])
    if len(weights) != 24 or sum(weights) != 24:
        raise ValueError(f"shape {shape['name']}: 24 weights with mean exactly 1 are needed")
    return weights


def _fuel(fuel: FactorContent) -> Decimal:
    """Return g CO2 per litre: kg/L x GJ/t x t/TJ gives g/L (docs/accounting.md 8.3)."""
    return (_decimal(fuel["density_kg_per_litre"]) * _decimal(fuel["ncv_gj_per_tonne"])
            * _decimal(fuel["ef_t_per_tj"]) * _decimal(fuel["oxidation"]))


def _decimal(text: object) -> Decimal:
    if not isinstance(text, str):
        raise ValueError(f"{text!r}: write numbers as decimal strings")
    value = Decimal(text)
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} is no factor: finite and not below 0 is needed")
    return value


def utc_ms(text: str) -> int:
    """Return the UTC milliseconds of an RFC 3339 time.  Raises ValueError without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return round(moment.astimezone(UTC).timestamp() * 1000)
