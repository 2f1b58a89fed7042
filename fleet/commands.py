"""What the commands of `python -m fleet` do; fleet/__main__.py has their words.

Apart from it, so that --help and a message about missing packages need none of them.
"""

import argparse
import dataclasses
import json
import logging

from fleet import clock, settings
from fleet import serve as server
from fleet import verify as verifier
from fleet.authority import rotation
from fleet.errors import ReportError
from fleet.evidence import bundle, timestamp
from fleet.evidence import evidence as bundles
from fleet.formats.registry import Registry, registry_file
from fleet.formats.timetext import parse_day, parse_quarter
from fleet.ingest import receiver
from fleet.reporting import changes, factor_choice, html
from fleet.reporting import report as reports
from fleet.reporting.text import describe_incident, describe_overlap, overlap
from fleet.rollup import overlaps, precedence
from fleet.store import backup as backups
from fleet.store import damage
from fleet.store.reader import open_reader
from fleet.texts import say
from fleet.transparency import proofs
from fleet.transparency.merkle_log import MerkleLog
from gateway.aio import cli, log_limit
from gateway.core.errors import ConfigError


def serve(arguments: argparse.Namespace) -> int:
    """Receive batches and show the page until a signal stops it."""
    log_limit.to_stderr(logging.INFO)
    named = settings.load(arguments.data).factors
    if named:
        factor_choice.choose(arguments.data, named, {})     # told now, not with the first report
    server.run(arguments.data, arguments.port)
    return cli.FINE


def check(arguments: argparse.Namespace) -> int:
    """List every mistake in fleet.toml, and open what it names as `serve` would."""
    configured = settings.load(arguments.data)
    settings.receipt_key(configured.receipt_key)
    try:
        receiver.tls(configured)
    except OSError as error:            # SSLError is one
        raise ConfigError(f"{configured.certificate}, {configured.key}: the broker would refuse "
                          f"them: {error}") from error
    if configured.factors:
        factor_choice.choose(arguments.data, configured.factors, {})
    file = arguments.data / settings.FILE
    cli.show(arguments, {"file": str(file), "mistakes": []}, [f"{file}: no mistakes"])
    return cli.FINE


def report(arguments: argparse.Namespace) -> int:
    """Account a period of a site; print the report, or write it to a file."""
    if arguments.json and arguments.format == "html" and arguments.out is None:
        cli.say_error("wattproof-fleet", "report: --json and HTML cannot share stdout",
                      "give --out FILE")
        return cli.USAGE
    times = parse_quarter(arguments.start), parse_quarter(arguments.end)
    cabinet = reports.cabinet_of(Registry(arguments.data).sites(), arguments.site)
    with open_reader(arguments.data) as reader:
        content = reports.build(reader, reports.ReportRequest(cabinet, _factors(arguments), *times))
        changes.keep(arguments.data, reader, content, clock.utc_ms())
    if arguments.format == "html":
        text = html.render(content)
    else:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if arguments.out is None:
        cli.put(text.removesuffix("\n"))
        return cli.FINE
    arguments.out.write_text(text, encoding="utf-8")
    cli.show(arguments, {"file": str(arguments.out), "site": cabinet.site,
                         "from": content["from"], "to": content["to"]},
             [f"{arguments.out}: {cabinet.site}, {content['from']} to {content['to']}"])
    return cli.FINE


def evidence(arguments: argparse.Namespace) -> int:
    """Write a period's evidence into one file."""
    times = parse_quarter(arguments.start), parse_quarter(arguments.end)
    cabinet = reports.cabinet_of(Registry(arguments.data).sites(), arguments.site)
    path = settings.load(arguments.data).receipt_key
    key = settings.receipt_key(path)
    with open_reader(arguments.data) as reader:
        request = reports.ReportRequest(cabinet, _factors(arguments), *times)
        data = bundles.build(reader, request, registry_file(arguments.data, cabinet), key,
                             bundles.KeptHeads([one.read_bytes() for one in arguments.head],
                                               rotation.former(path)))
        changes.keep(arguments.data, reader, bundle.statement(data), clock.utc_ms())
    arguments.out.write_bytes(data)
    cli.show(arguments, {"file": str(arguments.out), "bytes": len(data)}, [
        f"{arguments.out}: {len(data):,} bytes; check it on any machine: "
        f"python docs/verify_evidence.py {arguments.out}; add --fleet-key, --device-key, "
        "--factors and --head with what you were given before"])
    return cli.FINE


def tree_head(arguments: argparse.Namespace) -> int:
    """Write the signed head of the log, and a time-stamp request about it."""
    key = settings.receipt_key(settings.load(arguments.data).receipt_key)
    day = None if arguments.day is None else parse_day(arguments.day)
    with open_reader(arguments.data) as reader, reader.snapshot() as chain_hash:
        head = timestamp.head_of(MerkleLog(chain_hash), day)
    signed = proofs.sign_head(head, bundles.signer_of(key))
    arguments.out.write_bytes(signed)
    lines = [f"{arguments.out}: {head.size} batches, root {head.root.hex()}"]
    if arguments.tsq is not None:
        arguments.tsq.write_bytes(timestamp.request(signed))
        lines.append(f"{arguments.tsq}: ask a time-stamping authority with it, e.g. curl -H "
                     "'Content-Type: application/timestamp-query' --data-binary "
                     f"@{arguments.tsq} URL")
    cli.show(arguments, {"file": str(arguments.out), "batches": head.size,
                         "root": head.root.hex(),
                         "request": arguments.tsq and str(arguments.tsq)}, lines)
    return cli.FINE


def _damaged(arguments: argparse.Namespace, found: list[str]) -> int:
    """Name what is wrong with the store's file; what stands in it is not checked then."""
    cli.show(arguments, {"ok": False, "store": found, "journals": [], "incidents": []},
             [*_store_lines(arguments, found), say("verify.bad")])
    return cli.PERSON


def _store_lines(arguments: argparse.Namespace, found: list[str]) -> list[str]:
    return [*(say("verify.damaged", what=one) for one in found),
            say("verify.damaged_next", next=damage.NEXT.format(data=arguments.data))]


def backup(arguments: argparse.Namespace) -> int:
    """Copy the store into one file while it is in use, and check the copy."""
    made = backups.take(arguments.data, arguments.out)
    cli.show(arguments, {"file": str(arguments.out), **made._asdict()}, [
        f"{arguments.out}: {made.batches} batches, {made.bytes:,} bytes, checked"])
    return cli.FINE


def restore(arguments: argparse.Namespace) -> int:
    """Put a backup or an empty store in place of the fleet's, in a new epoch."""
    with backups.lock(arguments.data):
        before = backups.restore(arguments.data, arguments.backup, clock.utc_ms)
    lines = [f"{arguments.data}: " + (f"restored from {arguments.backup}" if arguments.backup
                                      else "a new, empty store"),
             "start `fleet serve`: cabinets send again what they still hold; what nobody holds is "
             "named on the page and by `fleet verify`"]
    if before is not None:
        lines.insert(1, f"the store before it is kept as {before}; delete it when all is well")
    cli.show(arguments, {"data": str(arguments.data), "before": before and str(before)}, lines)
    return cli.FINE


def _factors(arguments: argparse.Namespace) -> str | None:
    found: str | None = arguments.factors
    if found is None and (arguments.data / "fleet.toml").exists():
        found = settings.load(arguments.data).factors
    return found


def verify(arguments: argparse.Namespace) -> int:
    """Check all stored evidence of a site; the exit code is 1 if anything is wrong."""
    sites = Registry(arguments.data).sites()
    reports.cabinet_of(sites, arguments.site)
    with open_reader(arguments.data) as reader:
        damaged = reader.damage()
        if damaged:
            return _damaged(arguments, damaged)
        changed = reader.changed()
        checked = verifier.site(reader, sites[arguments.site])
        notes = [one for cabinet in sites[arguments.site]
                 for one in reader.incidents(cabinet.id)]
        rivals = [(cabinet.id, one) for cabinet in sites[arguments.site] for one in
                  overlaps.of_period(reader, cabinet.id, 0, precedence.FOREVER_MS)
                  if not one.seam]
    if not checked:
        raise ReportError(say("verify.nothing", site=arguments.site))
    faults = [fault for one in checked for fault in one.faults]
    wrong = bool(faults or changed)
    waits = bool(overlaps.undecided(one for _, one in rivals))
    content = {"ok": not wrong and not waits, "set_aside": [
        {"cabinet": cabinet, **overlap(one)} for cabinet, one in rivals],
               "store": changed, "journals": [
        {**one._asdict(), "faults": [fault.what for fault in one.faults]} for one in checked],
               "incidents": [dataclasses.asdict(one) | {"journal": one.journal.hex()}
                             for one in notes]}
    lines = [say("verify.journal", cabinet=one.cabinet, journal=one.journal, records=one.records,
                 first=one.first_seq, last=one.last_seq, batches=one.batches,
                 receipted=one.low_water) for one in checked]
    lines += [say("verify.revoked", cabinet=one.id, time=one.revoked)
              for one in sites[arguments.site] if one.revoked]
    lines += [say("verify.note", cabinet=note.cabinet, journal=note.journal.hex(),
                  incident=describe_incident(note)) for note in notes]
    lines += [say("verify.wrong", cabinet=fault.cabinet, journal=fault.journal, what=fault.what)
              for fault in faults]
    lines += [say("verify.overlap_decided" if one.decision else "verify.overlap", cabinet=cabinet,
                  overlap=describe_overlap(overlap(one))) for cabinet, one in rivals]
    if changed:
        lines += _store_lines(arguments, changed)
    lines.append(say("verify.bad" if wrong else "verify.open" if waits else "verify.good"))
    cli.show(arguments, content, lines)
    return cli.PERSON if wrong or waits else cli.FINE
