"""Meter swaps as a report names them: both serial numbers, times and readings.  Pure.

Between the last reading of the old register and the first of the new one nothing is known: that
stretch lowers the coverage and stands among the gaps.
"""

from collections.abc import Iterable
from decimal import Decimal

from fleet.formats.timetext import rfc3339
from fleet.formats.values import MeterSwap
from fleet.reporting.content import Gap, SwapRegister, SwapRow
from fleet.reporting.runs import CounterRun
from fleet.store.reader import ChannelRow
from fleet.texts import say
from gateway.core.measurand import BY_ID

LISTED_MAX = 1000               # of a report
NOTES_MAX = 20

class _Entry:
    """A swap, when its old register was read last (None: not known), and what both read."""

    def __init__(self, swap: MeterSwap) -> None:
        self.swap, self.old_ms = swap, swap.old_ms
        self.registers: dict[tuple[str, str], SwapRegister] = {}

    def register(self, channel: ChannelRow) -> SwapRegister:
        """Return the row of a register, made when first asked for."""
        known = BY_ID[channel.measurand]
        return self.registers.setdefault((known.name, channel.item), {
            "measurand": known.name, "item": channel.item, "unit": known.unit, "old_end": None,
            "new_start": None})


class Swaps:
    """The swaps of a period [from_ms, to_ms) and what was read of their registers."""

    def __init__(self, found: Iterable[MeterSwap], from_ms: int, to_ms: int) -> None:
        self._period = from_ms, to_ms
        self._entries = {id(swap): _Entry(swap) for swap in found}

    def note(self, channel: ChannelRow, run: CounterRun) -> None:
        """Take the readings with which a run of a channel ends or begins at a swap."""
        if run.ended_by is not None:
            entry, last = self._entries[id(run.ended_by)], run.points[-1]
            entry.register(channel)["old_end"] = _shown(last.value, channel)
            entry.old_ms = last.utc_ms if entry.old_ms is None else max(entry.old_ms, last.utc_ms)
        if run.began_by is not None:
            entry = self._entries[id(run.began_by)]
            entry.register(channel)["new_start"] = _shown(run.points[0].value, channel)

    def rows(self) -> list[SwapRow]:
        """Return the swaps that touch the period, by time; of very many the newest."""
        from_ms, to_ms = self._period
        return [_row(one) for one in self._entries.values() if one.swap.utc_ms >= from_ms and (
            one.swap.utc_ms if one.old_ms is None else one.old_ms) < to_ms][-LISTED_MAX:]


def _shown(value: int, channel: ChannelRow) -> float:
    """Return a reading as the device shows it: in units, without the CT ratio."""
    return float(value * Decimal(1).scaleb(channel.exponent))


def _row(one: _Entry) -> SwapRow:
    swap, registers = one.swap, one.registers
    return {"device": swap.device, "old_serial": swap.old_serial, "new_serial": swap.new_serial,
            "from": None if one.old_ms is None else rfc3339(one.old_ms),
            "to": rfc3339(swap.utc_ms), "registers": [registers[key] for key in sorted(registers)]}


def gaps(rows: Iterable[SwapRow]) -> list[Gap]:
    """Return the stretches between two registers, of which nothing is known."""
    return [{"device": row["device"], "from": row["from"], "to": row["to"],
             "reason": say("report.swap_gap", old=row["old_serial"], new=row["new_serial"])}
            for row in rows]


def notes(rows: list[SwapRow]) -> list[str]:
    """Return what a reader of the figures must know of the swaps."""
    lines = [say("report.swap_note", device=row["device"], old=row["old_serial"],
                 new=row["new_serial"], from_time=row["from"] or say("report.start_unknown"),
                 to_time=row["to"]) for row in rows[-NOTES_MAX:]]
    more = len(rows) - len(lines)
    return [*lines, say("report.swap_more", n=more)] if more else lines
