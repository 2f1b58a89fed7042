"""The end of the demo: reports, books, checks, and the table people read.

This is the door between a finished run and simulator/demo/checks.py, which is pure.
"""

import asyncio
import json
import sqlite3
import subprocess
import zlib
from pathlib import Path

from gateway.core.counter import HOUR_MS
from gateway.core.roles import SUPPLIES
from simulator.clock import format_utc
from simulator.demo import checks
from simulator.demo.context import Context, print_line
from simulator.demo.processes import python

# What flows into the site's AC bus; everything else in the books flows out of it.
SOURCES = tuple(energy.name for energy in SUPPLIES)
INTERVAL_MS = 10_000        # the polls of the demo's cabinet, simulated


def status_of(demo: Context) -> checks.Json:
    """Return the gateway's last status file, {} while there is none."""
    for file in demo.site.rglob("status.json"):
        try:
            return dict(json.loads(file.read_text()))
        except (OSError, ValueError):
            continue
    return {}


def progress_line(demo: Context) -> str:
    """Return one line: simulated hour, what is durable, what the fleet has."""
    journal = status_of(demo).get("journal", {})
    name = "" if demo.number == 1 else f" of cabinet {demo.number}"
    return (f"  hour {demo.hours():6.2f}{name}   durable {journal.get('durable_seq', '-'):>7}"
            f"   in the fleet {journal.get('acknowledged_seq', '-'):>7}"
            f"   batches waiting {journal.get('batches_waiting', '-'):>3}")


def is_drained(demo: Context) -> bool:
    """Tell whether the fleet has receipted everything the gateway had made durable."""
    journal = status_of(demo).get("journal", {})
    return bool(journal) and journal.get("acknowledged_seq", -1) >= demo.witnessed()


def sealed_batches(database: Path, cabinet: str) -> list[bytes]:
    """Return the sealed batches as the fleet stores them (table `batch`, column `sealed`)."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT sealed FROM batches WHERE cabinet = ? ORDER BY first_seq", (cabinet,))
        return [row[0] for row in rows]


def books_between(truth: Path, start_ms: int, end_ms: int) -> dict[str, float]:
    """Return the simulator's energies in Wh between two quarter hours, from its books."""
    at: dict[int, dict[str, float]] = {}
    for line in truth.read_text().splitlines():
        entry = json.loads(line)
        at[entry["utc_ms"]] = entry["energy_wh"]
    books = {role: wh - at[start_ms][role] for role, wh in at[end_ms].items()}
    books["residual"] = (sum(books[role] for role in SOURCES)
                         - sum(wh for role, wh in books.items() if role not in SOURCES))
    return books


async def command(demo: Context, *arguments: str) -> tuple[int, str]:
    """Run a command of the fleet; returns its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *python("fleet", *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _ = await process.communicate()
    (demo.processes.logs / f"{demo.named(f'fleet-{arguments[0]}')}.log").write_bytes(text)
    return process.returncode or 0, text.decode(errors="replace")


async def _reports(demo: Context, start: str, end: str, site: str) -> checks.Json:
    for form in ("json", "html"):
        code, text = await command(
            demo, "report", "--data", str(demo.fleet), "--site", site, "--from", start,
            "--to", end, "--format", form, "--out", str(demo.out / f"report.{form}"))
        if code:
            raise RuntimeError(f"the report failed: {text}")
    return dict(json.loads((demo.out / "report.json").read_text()))


async def _bundle(demo: Context, start: str, end: str, site: str) -> None:
    code, text = await command(
        demo, "evidence", "--data", str(demo.fleet), "--site", site, "--from", start,
        "--to", end, "--out", str(demo.out / "evidence.bundle"))
    if code:
        raise RuntimeError(f"the evidence bundle failed: {text}")


async def conclude(demo: Context) -> int:
    """Write reports, books and summary, print the table; returns the exit code."""
    parts = json.loads((demo.out / "parts.json").read_text())
    start_ms = demo.origin_ms
    end_ms = start_ms + round(demo.args.hours * HOUR_MS)
    site = parts["site"]["id"]
    report = await _reports(demo, format_utc(start_ms), format_utc(end_ms), site)
    await _bundle(demo, format_utc(start_ms), format_utc(end_ms), site)
    verdict, said = await command(demo, "verify", "--data", str(demo.fleet), "--site", site)
    found = checks.read_delivered(
        sealed_batches(demo.fleet / "fleet.db", parts["site"]["cabinet"]),
        lambda data, limit: zlib.decompressobj(-15).decompress(data, limit))
    truth = books_between(demo.out / "sim" / "truth.jsonl", start_ms, end_ms)
    (demo.out / "truth.json").write_text(json.dumps(truth, indent=1))
    judged = checks.judge(checks.DemoRun(
        found, demo.witnessed(), tuple(device["name"] for device in parts["devices"]),
        INTERVAL_MS, (start_ms, end_ms), report, truth, said.strip()[-300:] if verdict else ""))
    summary = judged | {
        "gateway": demo.usage.summary() | {"journal": status_of(demo).get("journal", {})}}
    (demo.out / "summary.json").write_text(json.dumps(summary, indent=1))
    print_line(f"\n{site}\n" + checks.table(summary["energy"]) + "\n")
    for check in summary["checks"]:
        print_line(f"  {'ok  ' if check['ok'] else 'FAIL'}  {check['name']}: {check['detail']}")
    print_line(
        f"\n  an auditor checks: python docs/verify_evidence.py {demo.out / 'evidence.bundle'}")
    return 0 if summary["ok"] else 1
