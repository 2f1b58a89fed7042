"""How complete and how well proven the data is, in sentences for a technician.  Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from fleet import verify
from fleet.formats import timetext
from fleet.ingest.live_table import LiveValues, section
from fleet.reporting import above_limit, text
from fleet.texts import say
from fleet.web.snapshot import Snapshot

GOOD, WATCH, BAD = "good", "watch", "bad"
COVERAGE_GOOD, COVERAGE_WATCH = 0.995, 0.95

# The lines that say whether what is here can be trusted; the others say how much is here.
PROVING = ("store", "unbroken", "refused", "journals")


class ProofLine(NamedTuple):
    """One statement; key: its id in the catalogue, state: good | watch | bad, title, text: as
    shown."""

    key: str
    state: str
    title: str
    text: str


def lines(snapshot: Snapshot, live: LiveValues | None, receipt_age_s: float | None,
          damaged: str = "") -> list[ProofLine]:
    """Return the statements of proof, most important first.

    live: the latest live message or None.  receipt_age_s: since the last receipt was sent.
    damaged: what is wrong with the store, "" if nothing is.
    """
    store = [_line("store", BAD, damaged)] if damaged else []
    return [*store, _coverage(snapshot), _chain(snapshot), _gaps(snapshot), *_limits(snapshot),
            _receipts(snapshot, live or {}, receipt_age_s), _clock(live or {}, snapshot),
            _quality(snapshot), _refused(snapshot), _journals(snapshot)]


def first(found: Sequence[ProofLine], state: str) -> str:
    """Return the title of the first line in a state, "" if there is none."""
    return next((line.title for line in found if line.state == state), "")


def worst(found: Sequence[ProofLine]) -> str:
    """Return the worst state of some lines."""
    states = {line.state for line in found}
    return BAD if BAD in states else WATCH if WATCH in states else GOOD


def _line(key: str, state: str, said: str) -> ProofLine:
    return ProofLine(key, state, say(f"proof.{key}.title"), said)


def _coverage(snapshot: Snapshot) -> ProofLine:
    if snapshot.today is None:
        return _line("coverage", WATCH, snapshot.why or say("proof.coverage.first_quarter"))
    evidence = snapshot.today["evidence"]
    covered, present = evidence["coverage"], evidence["present"]
    state = GOOD if min(covered, present) >= COVERAGE_GOOD else \
        WATCH if covered >= COVERAGE_WATCH else BAD
    return _line("coverage", state, say("proof.coverage.all") if present >= 1 else say(
        "proof.coverage.share", present=text.share(present, 1), covered=text.share(covered, 1)))


def _chain(snapshot: Snapshot) -> ProofLine:
    """Good only if batches of today were opened and checked, and says how many."""
    if not snapshot.journals:
        return _line("unbroken", WATCH, say("proof.unbroken.none"))
    evidence = snapshot.today["evidence"] if snapshot.today else {"journals": ()}
    faults, codes = evidence.get("faults", ()), set(evidence.get("fault_codes", ()))
    waiting = [row for row in snapshot.journals if row.stored_seq > (row.low_water or 0)]
    if waiting and codes <= {verify.MISSING}:
        return _line("unbroken", WATCH, say(
            "proof.unbroken.waiting", first=text.figure((waiting[0].low_water or 0) + 1)))
    if faults:
        return _line("unbroken", BAD, say("proof.unbroken.damaged", fault=faults[0]))
    records, batches = (sum(row[key] for row in evidence["journals"])
                        for key in ("records", "batches"))
    if not batches:
        stored = sum(row.batches for row in snapshot.journals)
        return _line("unbroken", WATCH, say.plural("proof.unbroken.unchecked", stored))
    return _line("unbroken", GOOD, say(
        "proof.unbroken.checked", records=say.plural("proof.unbroken.records", records),
        batches=say.plural("proof.unbroken.batches", batches)))


def _gaps(snapshot: Snapshot) -> ProofLine:
    if snapshot.today is None:
        return _line("gaps", WATCH, say("proof.gaps.not_known"))
    evidence = snapshot.today["evidence"]
    gaps = evidence["gap_list"]
    if not gaps:
        return _line("gaps", GOOD, say("proof.gaps.none"))
    last = gaps[-1]
    return _line("gaps", WATCH, say.plural(
        "proof.gaps.declared", evidence.get("gaps", len(gaps)),
        where=last["device"] or say("proof.gaps.cabinet"),
        start=_clock_time(last["from"], snapshot) or say("proof.gaps.start_unknown"),
        end=_clock_time(last["to"], snapshot), reason=last["reason"]))


def _clock_time(stamp: str | None, snapshot: Snapshot) -> str:
    """Return an RFC 3339 time as the site's clocks show it, with the zone; "" for none."""
    zone = snapshot.today["timezone"] if snapshot.today else "UTC"
    return timetext.local(timetext.utc_ms(stamp), zone) if stamp else ""


def _limits(snapshot: Snapshot) -> list[ProofLine]:
    """What meters showed and is not counted; no line where there is nothing."""
    notes = above_limit.notes(snapshot.today.get("meters", ())) if snapshot.today else []
    if not notes:
        return []
    more = [say.plural("proof.limits.more", len(notes) - 1)] if len(notes) > 1 else []
    return [_line("limits", BAD, " ".join([notes[0], *more]))]


def _receipts(snapshot: Snapshot, live: LiveValues, age_s: float | None) -> ProofLine:
    journal = section(live, "journal")
    durable, known = journal.get("durable_seq"), journal.get("acknowledged_seq")
    state = WATCH if age_s is None else GOOD
    said = [say("proof.receipts.none") if age_s is None else
            say("proof.receipts.last", age=text.age(age_s))]
    if not isinstance(durable, int) or not isinstance(known, int):
        return _line("receipts", state, said[0])
    waiting = max(int(durable - known), 0)
    said.append(say.plural("proof.receipts.waiting", waiting) if waiting else
                say("proof.receipts.nothing_waits"))
    trouble = journal.get("state")
    if trouble not in ("ok", None):
        state = BAD
        known_trouble = f"journal_state.{trouble}" in say.rows
        said.append(say(f"journal_state.{trouble}") if known_trouble else
                    say("journal_state.other", state=trouble))
    return _line("receipts", state, " ".join(said))


def _clock(live: LiveValues, snapshot: Snapshot) -> ProofLine:
    clock = section(live, "clock")
    source, bound_s = clock.get("source"), clock.get("uncertainty_s")
    if isinstance(source, int):
        source = text.CLOCK_SOURCES.get(source)
    if source not in text.CLOCK_SOURCES.values():
        if snapshot.today is None:
            return _line("clock", WATCH, say("proof.clock.not_known"))
        source, bound_s = "signed", snapshot.today["evidence"]["clock_uncertainty_s"]
    return _line("clock", WATCH if source == "unknown" else GOOD, say(
        f"clock_source.{source}", bound=text.figure(bound_s, 1, "s")))


def _quality(snapshot: Snapshot) -> ProofLine:
    quality = snapshot.today["quality"] if snapshot.today else {}
    measured = quality.get("measured")
    if measured is None:
        return _line("measured", WATCH, say("proof.measured.none"))
    whole = (quality.get("missing") or 0) <= 1 - COVERAGE_GOOD
    state = GOOD if measured >= COVERAGE_WATCH and whole else WATCH
    shares = {name: text.share(quality[name], 1) for name in ("measured", "estimated", "missing")}
    return _line("measured", state, say("proof.measured.shares", **shares))


def _refused(snapshot: Snapshot) -> ProofLine:
    if not snapshot.refused:
        return _line("refused", GOOD, say("proof.refused.none"))
    said = []
    for code, count in sorted(snapshot.refused.items()):
        key = f"proof.refused.{code}" if code in text.REFUSED else "proof.refused.other"
        said.append(say.plural(key, count, code=code))
    severe = any(code in text.SEVERE for code in snapshot.refused)
    return _line("refused", BAD if severe else WATCH, " ".join([*said, say("proof.refused.rest")]))


def _journals(snapshot: Snapshot) -> ProofLine:
    """What happened to the journals themselves: the gravest and newest of it."""
    not_dated = [say.plural("proof.journals.not_dated", snapshot.unplaced)] \
        if snapshot.unplaced else []
    if snapshot.overlaps:
        return _line("journals", BAD, " ".join([
            say.plural("proof.journals.decide", len(snapshot.overlaps),
                       overlap=text.describe_overlap(text.overlap(snapshot.overlaps[-1]))),
            *not_dated]))
    for state, kinds in ((BAD, text.INCIDENTS_SEVERE), (WATCH, text.INCIDENTS_WATCH)):
        found = [one for one in snapshot.incidents if one.kind in kinds]
        if found:
            last = max(found, key=lambda one: one.last_ms)
            incident = text.describe_incident(last)
            said = [say("proof.journals.incident", incident=incident[:1].upper() + incident[1:],
                        next=say(f"incident_next.{last.kind}"))]
            if len(found) > 1:
                said.append(say.plural("proof.journals.more", len(found) - 1))
            return _line("journals", state, " ".join(said + not_dated))
    if not_dated:
        return _line("journals", WATCH, not_dated[0])
    return _line("journals", GOOD, say.plural("proof.journals.good", len(snapshot.journals)))
