"""python -m fleet: receive and show, report, verify."""

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet import serve, settings, verify
from fleet.errors import ReportError
from fleet.evidence import evidence, timestamp
from fleet.formats.registry import Registry, registry_file
from fleet.formats.timetext import parse_day, parse_quarter
from fleet.reporting import html, report
from fleet.reporting.text import describe_incident
from fleet.store.reader import opened
from fleet.transparency import proofs
from fleet.transparency.merkle_log import Log
from gateway.core.errors import WattproofError

GUIDE = """\
The receiving side of Wattproof.  Enrol a site first: python -m provisioning enrol.

  python -m fleet serve  --data FLEET                       receive batches, show the page
  python -m fleet report --data FLEET --site shop --from 2026-06-01T00:00:00Z \\
                         --to 2026-06-02T00:00:00Z --format html --out report.html
  python -m fleet verify --data FLEET --site shop           check all stored evidence
  python -m fleet evidence --data FLEET --site shop --from ... --to ... --out shop.bundle
                                            one file that others check without us
  python -m fleet tree-head --data FLEET --out head.cbor    the signed state of the log
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or not proven."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except WattproofError as error:
        print(f"fleet: {error}", file=sys.stderr)
    except OSError as error:
        print(f"fleet: {error.filename or arguments.data}: {error.strerror}", file=sys.stderr)
    return 1


def _serve(arguments: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr,
                        format="%(levelname)s %(name)s: %(message)s")
    serve.run(arguments.data, arguments.port)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    times = parse_quarter(arguments.start), parse_quarter(arguments.end)
    device = report.device_of(Registry(arguments.data).sites(), arguments.site)
    with opened(arguments.data) as reader:
        content = report.build(reader, report.Question(device, _factors(arguments), *times))
    if arguments.format == "html":
        text = html.render(content)
    else:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        arguments.out.write_text(text, encoding="utf-8")
        print(f"{arguments.out}: {device.site}, {content['from']} to {content['to']}")
    return 0


def _evidence(arguments: argparse.Namespace) -> int:
    times = parse_quarter(arguments.start), parse_quarter(arguments.end)
    device = report.device_of(Registry(arguments.data).sites(), arguments.site)
    key = settings.receipt_key(settings.load(arguments.data).receipt_key)
    with opened(arguments.data) as reader:
        question = report.Question(device, _factors(arguments), *times)
        data = evidence.build(reader, question, registry_file(arguments.data, device), key)
    arguments.out.write_bytes(data)
    print(f"{arguments.out}: {len(data):,} bytes; check it on any machine: "
          f"python docs/verify_evidence.py {arguments.out}")
    return 0


def _tree_head(arguments: argparse.Namespace) -> int:
    key = settings.receipt_key(settings.load(arguments.data).receipt_key)
    day = None if arguments.day is None else parse_day(arguments.day)
    with opened(arguments.data) as reader, reader.snapshot() as link:
        head = timestamp.head_of(Log(link), day)
    signed = proofs.sign_head(head, evidence.signer_of(key))
    arguments.out.write_bytes(signed)
    print(f"{arguments.out}: {head.size} batches, root {head.root.hex()}")
    if arguments.tsq is not None:
        arguments.tsq.write_bytes(timestamp.request(signed))
        print(f"{arguments.tsq}: ask a time-stamping authority with it, e.g. curl -H "
              f"'Content-Type: application/timestamp-query' --data-binary @{arguments.tsq} URL")
    return 0


def _factors(arguments: argparse.Namespace) -> str | None:
    found: str | None = arguments.factors
    if found is None and (arguments.data / "fleet.toml").exists():
        found = settings.load(arguments.data).factors
    return found


def _verify(arguments: argparse.Namespace) -> int:
    sites = Registry(arguments.data).sites()
    report.device_of(sites, arguments.site)
    with opened(arguments.data) as reader:
        checked = verify.site(reader, sites[arguments.site])
        notes = [one for device in sites[arguments.site]
                 for one in reader.incidents(device.device)]
    if not checked:
        raise ReportError(f"{arguments.site}: no batch is stored yet, nothing to verify")
    faults = [fault for one in checked for fault in one.faults]
    if arguments.json:
        print(json.dumps({"ok": not faults, "journals": [
            {**one._asdict(), "faults": [fault.what for fault in one.faults]}
            for one in checked], "incidents": [
                dataclasses.asdict(one) | {"journal": one.journal.hex()}
                for one in notes]}, indent=2))
        return 1 if faults else 0
    for one in checked:
        print(f"{one.device}, journal {one.journal}: {one.records} records "
              f"{one.first_seq}..{one.last_seq} in {one.batches} batches, receipted up to "
              f"{one.low_water}")
    for note in notes:
        print(f"note: {note.device}, journal {note.journal.hex()}: {describe_incident(note)}")
    for fault in faults:
        print(f"WRONG: {fault.device}, journal {fault.journal}: {fault.what}")
    print("not proven" if faults else "signatures, chain and sequence hold")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fleet", description=GUIDE,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    server = commands.add_parser("serve", help="receive batches and show the page")
    server.add_argument("--port", type=int, default=8080, help="port of the page (8080)")
    server.set_defaults(run=_serve)
    reporter = commands.add_parser("report", help="account a period of a site")
    reporter.add_argument("--format", choices=("json", "html"), default="json")
    reporter.add_argument("--out", type=Path, metavar="FILE", help="file (default: output)")
    reporter.set_defaults(run=_report)
    checker = commands.add_parser("verify", help="check all stored evidence of a site")
    checker.add_argument("--json", action="store_true", help="for programs")
    checker.set_defaults(run=_verify)
    collector = commands.add_parser("evidence", help="bundle a period's evidence in one file")
    collector.add_argument("--out", type=Path, metavar="FILE", required=True)
    collector.set_defaults(run=_evidence)
    heads = commands.add_parser("tree-head", help="export the log's signed head, to be kept "
                                "by others: what is in it cannot be changed any more")
    heads.add_argument("--day", metavar="DATE", help="as it stood at the end of a UTC day, e.g. "
                       "2026-06-01 (default: now)")
    heads.add_argument("--out", type=Path, metavar="FILE", required=True)
    heads.add_argument("--tsq", type=Path, metavar="FILE",
                       help="also write an RFC 3161 time-stamp request about it")
    heads.set_defaults(run=_tree_head)
    for command in (reporter, collector):
        command.add_argument("--from", dest="start", required=True, metavar="TIME",
                             help="first moment, RFC 3339 UTC, e.g. 2026-06-01T00:00:00Z")
        command.add_argument("--to", dest="end", required=True, metavar="TIME",
                             help="first moment after the period")
        command.add_argument("--factors", metavar="SET", help="another factor set: id or file")
    for command in (server, reporter, checker, collector, heads):
        command.add_argument("--data", type=Path, required=True, metavar="DIR",
                             help="data folder of the fleet")
    for command in (reporter, checker, collector):
        command.add_argument("--site", required=True, metavar="ID")
    return parser


if __name__ == "__main__":
    sys.exit(main())
