"""What `gateway journal ls|show|verify|export|doctor` prints; storage/inspect.py finds it out."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.aio import cli
from gateway.config import load as config
from gateway.config.values import CabinetSettings
from gateway.service import status
from gateway.signer import EvidenceSigner, Verifier
from gateway.storage import inspect
from gateway.storage.inspect import JournalView
from gateway.timekeeping.clock import system_sources


def run(arguments: argparse.Namespace) -> int:
    """Run one journal command; raises WattproofError if the journal cannot be read."""
    cabinet = config.load(arguments.config)
    view = inspect.open_view(cabinet.journal.directory, cabinet.site.cabinet)
    return COMMANDS[arguments.what](arguments, cabinet, view)


def _ls(arguments: argparse.Namespace, _cabinet: CabinetSettings, view: JournalView) -> int:
    rows = inspect.listing(view)
    lines = [f"{row['what']:<6} {row['number']!s:<8} " + (str(row["wrong"]) or (
        f"boot {row['boot']:<4} sequence {row['first_seq']} to {row['last_seq']}  "
        f"{row['body_bytes']} bytes  "
        + ("acknowledged" if row["acknowledged"] else "waits")
        + (f"  kept: {row['kept']}" if row.get("kept", "everything") != "everything" else ""))
        ) for row in rows]
    cli.show(arguments, rows, lines or ["the journal is empty"])
    return 1 if any(row["wrong"] for row in rows) else 0


def _show(arguments: argparse.Namespace, _cabinet: CabinetSettings, view: JournalView) -> int:
    rows = list(inspect.records(view, arguments.number))
    lines = [f"{row['seq']:>8} {row['utc'] or 'time not known'}  "
             + (f"{row['event']} {row['body']}" if "event" in row
                else f"{row['device']} {row['values']}") for row in rows]
    cli.show(arguments, rows, lines or ["no records there"])
    return 0


def _verify(arguments: argparse.Namespace, cabinet: CabinetSettings, view: JournalView) -> int:
    faults = inspect.verify(view, _public(cabinet))
    count = len(view.found.batches.numbers())
    cli.show(arguments, {"batches": count, "faults": faults},
             faults or [f"{count} batches: check sums, signatures, chain and records are right"])
    return 1 if faults else 0


def _export(arguments: argparse.Namespace, _cabinet: CabinetSettings, view: JournalView) -> int:
    made = inspect.export(view, arguments.out)
    cli.show(arguments, [str(path) for path in made],
             [f"{len(made)} batches in {arguments.out}"])
    return 0


def _doctor(arguments: argparse.Namespace, cabinet: CabinetSettings, view: JournalView) -> int:
    sources = system_sources()
    now_s = sources.wall()
    found = inspect.doctor(view, _public(cabinet), status.read(cabinet, now_s, sources.monotonic()),
                           datetime.fromtimestamp(now_s, UTC))
    cli.show(arguments, found, _doctor_lines(found))
    return 1 if found["faults"] else 0


def _doctor_lines(found: status.Status) -> list[str]:
    oldest, wear = found["oldest_waiting"], found["wear"]
    waits = "nothing waits for the fleet" if oldest is None else (
        f"oldest record the fleet has not confirmed: {oldest['seq']} of "
        f"{oldest['utc'] or 'a time not known'}")
    rate = ("not known: the gateway has not run for a quarter of an hour"
            if wear["bytes_per_day"] is None else
            f"{wear['bytes_per_day'] / 1e6:.1f} MB a day, "
            f"{wear['with_file_system_per_day'] / 1e6:.1f} with the file system; a new 4 GB card "
            f"would last until {wear['end_of_life']}")
    lines = [f"journal   {found['directory']}: boot {found['boot']}, last sequence "
             f"{found['last_seq']}, {found['batches']} batches, {found['segments']} segments, "
             f"{found['bytes'] / 1e6:.1f} MB, {found['free_bytes'] >> 20} MiB free",
             f"delivery  confirmed up to {found['acknowledged_seq']}; {waits}",
             f"wear      {rate}"]
    lines += [f"flash     {one['name']}: the maker's estimate is {10 * one['used_steps'] - 10} to "
              f"{10 * one['used_steps']} % of its life used" for one in found["emmc"]
              if one["used_steps"]]
    lines += [f"advice    {advice}" for advice in found["advice"]]
    lines += [f"fault     {fault}" for fault in found["faults"]]
    return lines + ([] if found["faults"] else ["all is well; nothing to do"])


def _public(cabinet: CabinetSettings) -> Verifier:
    raw = EvidenceSigner.load(cabinet.evidence_key).public_raw
    return Verifier(Ed25519PublicKey.from_public_bytes(raw))


COMMANDS: dict[str, Callable[[argparse.Namespace, CabinetSettings, JournalView], int]] = {
    "ls": _ls, "show": _show, "verify": _verify, "export": _export, "doctor": _doctor}
