"""Identity is a gate: what a device says it is decides whether its values are recorded.  Pure.

It is asked with the first values, with the first after a silence, and hourly.  Another model
than the profile's is not recorded.  Another serial number is: with a meter-swap event before it
that holds the last readings of the old device and the first of the new one.

An exchange takes place while the device is silent.  Without such a silence it may have been at
any time since the old serial number was read last: the old device's readings end there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.codec.record import DEVICE, METER_SWAP, SERIAL_CHARS_MAX
from gateway.core.errors import BadFrame, DeviceError, OtherDevice
from gateway.core.event import Event
from gateway.core.measurand import BY_ID, COUNTER
from gateway.core.reading import BAD_FRAME, Absent, Scan
from gateway.polling.unit import LOST_AFTER, PolledUnit

if TYPE_CHECKING:
    from gateway.core.reading import Values

AGAIN_MS = 3_600_000            # ticks between two looks at a device that is well
WRONG_MS = 60_000               # and at another device
TRIES_MAX = 3                   # scans in a row with an identity asked in vain
TEXT_CHARS_MAX = 200            # what a device says about itself is foreign text
COUNTERS_MAX = 256              # of a swap event: it fits a record


class Verdict(NamedTuple):
    """What is recorded: events first, then the scan."""

    events: list[Event]
    scan: Scan


class Identity:
    """Judges what the devices of a bus say they are; what is known stands in the units."""

    def judge(self, unit: PolledUnit, scan: Scan, said: Mapping[str, object],
              error: DeviceError | None) -> Verdict:
        """Return what is recorded of a scan with values.  error: why identity was not read."""
        if isinstance(error, BadFrame):
            return self._unreadable(unit, scan, error)
        if error is not None and error.code == "no-reply" and unit.identity_tries < TRIES_MAX:
            unit.identity_tries += 1    # a lost answer, or a device that does not tell
            unit.identity_due_ms = scan.ticks_ms
        else:
            unit.identity_tries, unit.identity_due_ms = 0, scan.ticks_ms + AGAIN_MS
        unit.identified, unit.wrong, unit.last_error = True, "", ""
        events = self._serial(unit, scan, str(said.get("serial") or "")[:SERIAL_CHARS_MAX])
        if unit.reported in ("new", "lost", "wrong"):
            unit.reported, unit.reported_ms = "ok", scan.ticks_ms
            events.append(self.event(unit, "found", ", ".join(
                f"{key} {said[key]}" for key in sorted(said) if said[key]), scan.ticks_ms))
        return Verdict(events, scan)

    def _unreadable(self, unit: PolledUnit, scan: Scan, error: BadFrame) -> Verdict:
        """Close the gate: at once for another device, after some tries for a torn answer."""
        is_other = isinstance(error, OtherDevice)
        unit.identity_tries += 1
        unit.identity_due_ms = scan.ticks_ms + (WRONG_MS if is_other else 0)
        is_trusted = unit.identified and not unit.failures and not unit.wrong
        if not is_other and is_trusted and unit.identity_tries < TRIES_MAX:
            return Verdict([], scan)
        unit.wrong = unit.last_error = str(error)
        return Verdict([], scan._replace(values=(Absent(BAD_FRAME),) * len(scan.values)))

    def _serial(self, unit: PolledUnit, scan: Scan, serial: str) -> list[Event]:
        """Return the events of another serial number than the one known, and keep it."""
        if not serial:
            return []
        before, unit.serial = unit.serial, serial
        was_silent = unit.failures >= LOST_AFTER and bool(unit.sure)
        end_ms, end = (unit.last_ms, unit.last) if was_silent else (unit.sure_ms, unit.sure)
        unit.sure_ms, unit.sure = scan.ticks_ms, scan.values
        if not before or serial == before:
            return []
        body = [unit.stream, _plain(before), _plain(serial), _readings(unit, end, scan.values),
                end_ms]
        return [Event(scan.ticks_ms, METER_SWAP, body), self.event(
            unit, "exchanged", f"serial {before} became {serial}", scan.ticks_ms)]

    def event(self, unit: PolledUnit, state: str, detail: str, ticks_ms: int = 0) -> Event:
        """Return the event that tells of a device's state."""
        return Event(ticks_ms, DEVICE, [unit.stream, state, _plain(detail)])


def found_later(unit: PolledUnit, before: str) -> list[Event]:
    """Return the events of an exchange before this boot whose old serial number could be read only
    now: they come before the unit's first scan, and no reading of the old device is known."""
    if not before or not unit.serial or unit.serial == before:
        return []
    positions = [position for position, point in enumerate(unit.driver.points)
                 if BY_ID[point.measurand].kind == COUNTER][:COUNTERS_MAX]
    body = [unit.stream, _plain(before), _plain(unit.serial),
            [[position, None, None] for position in positions], 0]
    return [Event(0, METER_SWAP, body), Event(0, DEVICE, [
        unit.stream, "exchanged", _plain(f"serial {before} became {unit.serial}")])]


def _readings(unit: PolledUnit, end: "Values", start: "Values") -> list[list[int | None]]:
    """Return [position, old end, new start] of each counter; None where it was not read."""
    found: list[list[int | None]] = []
    for position, point in enumerate(unit.driver.points):
        if BY_ID[point.measurand].kind == COUNTER and len(found) < COUNTERS_MAX:
            found.append([position, _number(end, position), _number(start, position)])
    return found


def _number(values: "Values", position: int) -> int | None:
    value = values[position] if position < len(values) else None
    return None if isinstance(value, Absent) else value


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:TEXT_CHARS_MAX]
