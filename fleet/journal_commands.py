"""What `fleet journals` and `fleet decide` do: a cabinet's journals, and which of them counts."""

import argparse
import getpass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import clock, settings
from fleet.errors import ReportError
from fleet.formats import decision as decisions
from fleet.formats.decision import Decision
from fleet.formats.registry import EnrolledCabinet, Registry, key_id
from fleet.formats.timetext import parse_quarter, rfc3339
from fleet.reporting import text
from fleet.reporting.content import Section
from fleet.rollup import overlaps, precedence
from fleet.rollup.overlaps import Overlap
from fleet.rollup.rollup import Rollup
from fleet.store import damage
from fleet.store.reader import StoreReader, open_reader
from fleet.store.writer import EvidenceStore
from fleet.texts import say
from gateway.aio import cli


def journals(arguments: argparse.Namespace) -> int:
    """List the journals of cabinets, what is set aside and why; the exit code is 1 if a person
    must decide."""
    asked = [entry for entries in Registry(arguments.data).sites().values() for entry in entries
                if arguments.site in (None, entry.site)
                and arguments.cabinet in (None, entry.id)]
    if not asked:
        raise ReportError(say("refusal.no_cabinet"))
    lines, cabinets, waits = list[str](), [], False
    with open_reader(arguments.data) as reader:
        for cabinet in asked:
            found = overlaps.of_period(reader, cabinet.id, 0, precedence.FOREVER_MS)
            waits = waits or bool(overlaps.undecided(found))
            cabinets.append(_cabinet(reader, cabinet, found))
            lines += _lines(cabinets[-1], found)
    if waits:
        lines.append(say("overlap.next"))
    cli.show(arguments, {"decide": waits, "cabinets": cabinets}, lines)
    return cli.PERSON if waits else cli.FINE


def _cabinet(reader: StoreReader, cabinet: EnrolledCabinet, found: list[Overlap]) -> Section:
    stored = {row.journal: row for row in reader.journals(cabinet.id)}
    rows = []
    for span in reader.rivals.spans(cabinet.id):
        row = stored.get(span.journal)
        rows.append({
            "journal": span.journal.hex(), "explained": span.explained,
            "from": span.first_ms and rfc3339(span.first_ms),
            "to": span.last_ms and rfc3339(span.last_ms),
            "batches": row.batches if row else 0, "records": row.records if row else 0})
    return {"cabinet": cabinet.id, "site": cabinet.site, "journals": rows,
            "set_aside": [{**text.overlap(one), "seam": one.seam} for one in found],
            "decisions": [_as_json(one) for _, one in reader.rivals.decisions(cabinet.id)]}


def _as_json(found: Decision) -> Section:
    return {"number": found.number, "journal": found.journal.hex(), "from": rfc3339(found.from_ms),
            "to": rfc3339(found.to_ms), "at": rfc3339(found.decided_ms), "author": found.author,
            "reason": found.reason}


def _lines(cabinet: Section, found: list[Overlap]) -> list[str]:
    name = cabinet["cabinet"]
    lines = [say("overlap.journal", cabinet=name, journal=row["journal"], batches=row["batches"],
                 start=row["from"] or say("number.none"), end=row["to"] or say("number.none"))
             for row in cabinet["journals"]]
    for one in found:
        key = "overlap.seam_line" if one.seam else "overlap.line"
        lines.append(say(key, cabinet=name, overlap=text.describe_overlap(text.overlap(one))))
    return lines + [say("overlap.decision", cabinet=name, number=one["number"], at=one["at"],
                        author=one["author"], journal=one["journal"], start=one["from"],
                        end=one["to"], reason=one["reason"]) for one in cabinet["decisions"]]


def decide(arguments: argparse.Namespace) -> int:
    """Say which journal of a cabinet counts for a time; signed with the fleet's own key."""
    times = parse_quarter(arguments.start), parse_quarter(arguments.end)
    key = settings.receipt_key(settings.load(arguments.data).receipt_key)
    if Registry(arguments.data).find(arguments.cabinet) is None or times[0] >= times[1]:
        raise ReportError(say("refusal.no_decision", cabinet=arguments.cabinet,
                              start=arguments.start, end=arguments.end))
    with open_reader(arguments.data) as reader:
        journal = _journal(reader, arguments.cabinet, arguments.journal)
    with damage.named(arguments.data):
        store = EvidenceStore(arguments.data)
        try:
            made = _decide(store, key, Decision(
                arguments.cabinet, 1, journal, *times, clock.utc_ms(),
                arguments.author or getpass.getuser(), arguments.reason))
        finally:
            store.close()
    cli.show(arguments, {"cabinet": made.cabinet, **_as_json(made)}, [
        say("overlap.decided_now", number=made.number, cabinet=made.cabinet,
            journal=made.journal.hex(), start=rfc3339(made.from_ms), end=rfc3339(made.to_ms))])
    return cli.FINE


def _journal(reader: StoreReader, cabinet: str, begin: str) -> bytes:
    """Return the one journal of a cabinet whose id begins so, in hex."""
    known = [one.journal for one in reader.journals(cabinet)]
    found = [one for one in known if one.hex().startswith(begin.lower())]
    if len(found) != 1:
        raise ReportError(say("refusal.no_journal", journal=begin, cabinet=cabinet,
                              known=", ".join(one.hex() for one in known)))
    return found[0]


def _decide(store: EvidenceStore, key: Ed25519PrivateKey, wanted: Decision) -> Decision:
    """Keep a decision and count the time that it is about again."""
    tables, cabinet = store.rollup.journals, wanted.cabinet
    kid = key_id(key.public_key().public_bytes_raw())
    with store.transaction():
        made = wanted._replace(number=len(tables.decisions(cabinet)) + 1)
        tables.add_decision(made, decisions.seal(made, kid, key.sign))
        store.rollup.take_out(tables.touched(cabinet, made.from_ms, made.to_ms - 1))
    booking, left = Rollup(store, clock.utc_ms), True
    while left:
        with store.transaction():
            left = booking.roll_up_waiting(cabinet)
    return made
