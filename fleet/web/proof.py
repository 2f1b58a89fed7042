"""How complete and how well proven the data is, in words a technician understands.  Pure."""

from collections import namedtuple
from typing import Any

from fleet import verify
from fleet.ingest.live_table import section
from fleet.reporting import text as words
from fleet.web.snapshot import Snapshot

GOOD, WATCH, BAD = "good", "watch", "bad"
COVERAGE_GOOD, COVERAGE_WATCH = 0.995, 0.95

# The lines that say whether what is here can be trusted; the others say how much is here.
PROVING = ("Unbroken", "Refused", "Journals")

# state: good | watch | bad.  title: what was asked.  text: the answer.
Line = namedtuple("Line", ("state", "title", "text"))


def lines(snapshot: Snapshot, live: dict[str, Any] | None, receipt_age_s: float | None
          ) -> list[Line]:
    """Return the statements of proof, most important first.

    live: the latest live message or None.  receipt_age_s: since the last receipt was sent.
    """
    return [_complete(snapshot), _chain(snapshot), _gaps(snapshot), _receipts(
        snapshot, live or {}, receipt_age_s), _clock(live or {}, snapshot), _quality(snapshot),
        _refused(snapshot), _journals(snapshot)]


def first(found: list[Line], state: str) -> str:
    """Return the title of the first line in a state, "" if there is none."""
    return next((line.title for line in found if line.state == state), "")


def worst(found: list[Line]) -> str:
    """Return the worst state of some lines."""
    states = {line.state for line in found}
    return BAD if BAD in states else WATCH if WATCH in states else GOOD


def _complete(snapshot: Snapshot) -> Line:
    if snapshot.today is None:
        return Line(WATCH, "Complete", snapshot.why or "The first quarter hour is not over yet.")
    covered = snapshot.today["evidence"]["coverage"]
    state = GOOD if covered >= COVERAGE_GOOD else WATCH if covered >= COVERAGE_WATCH else BAD
    return Line(state, "Complete", f"{words.share(covered, 1)} of the readings expected today "
                "are here, or their absence was declared by the gateway.")


def _chain(snapshot: Snapshot) -> Line:
    """Good only if batches of today were opened and checked, and says how many."""
    if not snapshot.journals:
        return Line(WATCH, "Unbroken", "No signed batch has arrived yet.")
    evidence = snapshot.today["evidence"] if snapshot.today else {"journals": ()}
    faults, codes = evidence.get("faults", ()), set(evidence.get("fault_codes", ()))
    waiting = [row for row in snapshot.journals if row.stored_seq > (row.low_water or 0)]
    if waiting and codes <= {verify.MISSING}:
        row = waiting[0]
        return Line(WATCH, "Unbroken", f"Records from {words.figure((row.low_water or 0) + 1)} on "
                    "are not here yet, later ones are. The gateway sends them again.")
    if faults:
        return Line(BAD, "Unbroken", f"The evidence is damaged: {faults[0]}. Next: python -m "
                    "fleet verify")
    records, batches = (sum(row[key] for row in evidence["journals"])
                        for key in ("records", "batches"))
    if not batches:
        stored = sum(row.batches for row in snapshot.journals)
        return Line(WATCH, "Unbroken", f"{words.count(stored, 'batch', 'batches')} stored, not "
                    "checked here. Next: python -m fleet verify")
    return Line(GOOD, "Unbroken", f"Today: {words.count(records, 'record')} in "
                f"{words.count(batches, 'signed batch', 'signed batches')} checked; every "
                "signature fits and every batch names the one before it.")


def _gaps(snapshot: Snapshot) -> Line:
    if snapshot.today is None:
        return Line(WATCH, "Gaps", "Not known before the first quarter hour.")
    gaps = snapshot.today["evidence"]["gap_list"]
    if not gaps:
        return Line(GOOD, "Gaps", "The gateway declared none today.")
    last = gaps[-1]
    where = last["device"] or "the whole cabinet"
    start = (last["from"] or "")[11:19]
    return Line(WATCH, "Gaps", f"{words.count(len(gaps), 'gap')} declared today; the latest: "
                f"{where}, {start or 'start unknown'} to {last['to'][11:19]} UTC "
                f"({last['reason']}).")


def _receipts(snapshot: Snapshot, live: dict[str, Any], age_s: float | None) -> Line:
    journal = section(live, "journal")
    durable, known = journal.get("durable_seq"), journal.get("acknowledged_seq")
    text = "No receipt has been sent since this service started."
    if age_s is not None:
        text = f"Last signed receipt went to the gateway {words.age(age_s)}."
    if not isinstance(durable, int) or not isinstance(known, int):
        return Line(WATCH if age_s is None else GOOD, "Receipts", text)
    waiting = max(int(durable - known), 0)
    text += (f" The gateway keeps {words.count(waiting, 'record')} on its flash until a receipt "
             "says that they are here." if waiting else " Nothing waits in the gateway.")
    state = journal.get("state")
    if state not in ("ok", None):
        said = words.JOURNAL_WORDS.get(str(state), f"Its journal says: {state}.")
        return Line(BAD, "Receipts", f"{text} {said}")
    return Line(GOOD if age_s is not None else WATCH, "Receipts", text)


def _clock(live: dict[str, Any], snapshot: Snapshot) -> Line:
    clock = section(live, "clock")
    source, bound_s = clock.get("source"), clock.get("uncertainty_s")
    if isinstance(source, (str, int)) and source in words.CLOCK_WORDS:
        name = words.CLOCK_WORDS[source]
    elif snapshot.today is not None:
        name, bound_s = "as signed", snapshot.today["evidence"]["clock_uncertainty_s"]
    else:
        return Line(WATCH, "Clock", "Not known yet.")
    if name == words.CLOCK_WORDS["unknown"]:
        return Line(WATCH, "Clock", "Not set: readings are kept and dated later.")
    return Line(GOOD, "Clock", f"{name.capitalize()}, true within "
                f"{words.figure(bound_s, 1, 's')}.")


def _quality(snapshot: Snapshot) -> Line:
    quality = snapshot.today["quality"] if snapshot.today else {}
    if quality.get("measured") is None:
        return Line(WATCH, "Measured", "No quarter hour has been accounted yet.")
    state = GOOD if quality["measured"] >= COVERAGE_WATCH else WATCH
    return Line(state, "Measured", f"{words.share(quality['measured'], 1)} of today's energy is "
                f"measured, {words.share(quality['estimated'], 1)} bridged over a gap between "
                f"two readings, {words.share(quality['missing'], 1)} missing.")


def _refused(snapshot: Snapshot) -> Line:
    if not snapshot.refused:
        return Line(GOOD, "Refused", "Nothing: every message was a batch of this gateway.")
    parts = [f"{words.count(count, 'message')} {words.REFUSED_WORDS.get(code, code)}"
             for code, count in sorted(snapshot.refused.items())]
    severe = any(code in words.SEVERE for code in snapshot.refused)
    text = f"{'; '.join(parts)}. None of it counts, and nothing else is affected."
    return Line(BAD if severe else WATCH, "Refused", text)


def _journals(snapshot: Snapshot) -> Line:
    """What happened to the journals themselves: the gravest and newest of it."""
    waits = "" if not snapshot.unplaced else (
        f" {words.count(snapshot.unplaced, 'record')} not dated yet; kept and proven meanwhile.")
    for state, kinds in ((BAD, words.INCIDENTS_SEVERE), (WATCH, words.INCIDENTS_WATCH)):
        found = [one for one in snapshot.incidents if one.kind in kinds]
        if found:
            last = max(found, key=lambda one: one.last_ms)
            said = words.describe_incident(last)
            more = "" if len(found) < 2 else (
                f" {words.figure(len(found) - 1)} more: python -m fleet verify.")
            return Line(state, "Journals", f"{said[:1].upper()}{said[1:]}. Next: "
                        f"{words.INCIDENT_NEXT[last.kind]}.{more}{waits}")
    if waits:
        return Line(WATCH, "Journals", waits.strip())
    return Line(GOOD, "Journals", f"{words.count(len(snapshot.journals), 'journal')} of this "
                "gateway; no second board speaks with its key, none began anew unexplained, and "
                "nothing received was left out.")
