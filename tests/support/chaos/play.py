"""A whole run: three parties live through their moves at once, watched all the time.

    python -m tests.support.chaos.play FOLDER --seed 7 --seconds 150

The order of the moves, their parameters and their lengths follow from the seed; what the
processes do meanwhile does not.
"""

import argparse
import asyncio
import json
import random
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.chaos import moves, oracle
from tests.support.chaos.site import PARTIES, ChaosSite, supervised

SPEED = 60
BETWEEN_S, HOLD_S = (1.0, 4.0), (2.0, 6.0)
LOOK_S = 2.0
DRAIN_S = 90.0
QUARTER_MS, SETTLE_MS = 900_000, 300_000      # simulated
# `status` looks at the process first; a frozen one is known by its file, 30 s old, that of one that
# cannot write says so with its next file (10 s) and commit.
GONE_S, STALE_S, SAID_S = 1.0, 35.0, 25.0


async def lane(site, party, seed, end_s):
    """Let a party live through its moves, each deck shuffled, until a moment."""
    chance = random.Random(f"{seed} {party}")
    while True:
        deck = list(moves.DECKS[party])
        chance.shuffle(deck)
        for move in deck:
            own = random.Random(chance.random())
            await asyncio.sleep(own.uniform(*BETWEEN_S))
            if time.monotonic() > end_s:
                return
            site.note(f"{party}: {move.__name__}")
            site.played.append(move.__name__)
            await move(site, party, own, own.uniform(*HOLD_S))


async def watch(site):
    """Ask the site how it is, again and again, and hold its answers to what is known."""
    for number in range(1 << 30):
        async with site.commands:
            await look(site, number)
        await asyncio.sleep(LOOK_S)


async def look(site, number):
    """Ask once."""
    before = dict(site.down), dict(site.frozen), dict(site.read_only)
    found = await site.status()
    check_words(site, found.get("words", []), before)
    if number % 3 == 1:
        await site.journal(("verify", "doctor")[number % 2])
    if number % 3 == 2:
        await site.ask("fleet", "verify", *site.data(), *site.site_id(), "--json")
    for path in ("/", f"/site/{site.site_id()[1]}"):
        code = await asyncio.to_thread(page, site.args.port, path)
        if code == 500:
            site.wrong(f"the page {path} answers 500")


def check_words(site, words, before):
    """`ok` is false while the gateway is gone, frozen or cannot write for longer than it may
    take to say so."""
    if words != ["ok"]:
        return
    now_s = time.monotonic()
    for since, limit_s, why in ((before[0], GONE_S, "gone"), (before[1], STALE_S, "frozen"),
                                (before[2], SAID_S, "on a disk that takes no write")):
        if "gateway" in since and now_s - since["gateway"] > limit_s:
            site.wrong(f"status says ok, but the gateway is {why} for "
                       f"{now_s - since['gateway']:.0f} s")


def page(port, path):
    """Return the HTTP status of a page, 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def run(out, seed, seconds):
    """Run chaos for some real seconds, heal, drain and judge; return (summary, faults)."""
    site = ChaosSite(out, SPEED)
    try:
        await site.start()
        await site.status()
        async with supervised(site):
            watching = asyncio.create_task(watch(site))
            await site.wait_until(0.1)              # a calm beginning: a reading at its edge
            end_s = time.monotonic() + seconds
            await asyncio.gather(*(lane(site, party, seed, end_s) for party in PARTIES))
            end_ms = await drained(site)
            await stopped(site, watching)
        summary, faults = await oracle.judge(site, site.origin_ms, end_ms)
    finally:
        await site.close()
    faults = site.trouble + faults + tracebacks(site)
    return summary | {"seed": seed, "moves": len(site.played), "ended by themselves": len(
        site.ended), "gateway lives": site.ledger.lives, "notes": site.notes}, faults


async def drained(site):
    """Wait for a quarter hour after the healing, and until the fleet has what was witnessed."""
    end_ms = (site.clock.utc_ms() // QUARTER_MS + 1) * QUARTER_MS
    await site.wait_until((end_ms + SETTLE_MS - site.origin_ms) / 3_600_000)
    limit_s = time.monotonic() + DRAIN_S
    while time.monotonic() < limit_s:
        found = await site.status()
        journal = found.get("journal", {})
        if journal.get("acknowledged_seq", 0) >= journal.get("sealed_seq", 1) and (
                not journal.get("batches_waiting")) and found["words"] == ["ok"]:
            return end_ms
        await asyncio.sleep(1)
    site.wrong(f"healed, but after {DRAIN_S:.0f} s: {found.get('words')} {journal}")
    return end_ms


async def stopped(site, watching):
    """Stop the gateway in order: what it says then must be true, and the fleet has everything."""
    async with site.commands:
        watching.cancel()
        code = await site.end("gateway", moves.signal.SIGTERM)
        await site.check_farewell(code)
        if code:
            site.wrong(f"the gateway ended with {code}")


def tracebacks(site):
    """Return a sentence for each log with a traceback."""
    return [f"{log.name} has a traceback: {text[text.index('Traceback'):][:3000]}"
            for log in sorted((site.out / "logs").glob("*.log"))
            if "Traceback" in (text := log.read_text(errors="replace"))]


def main():
    """Run once, print the diary and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=150.0)
    given = parser.parse_args()
    summary, faults = asyncio.run(run(given.folder, given.seed, given.seconds))
    print("\n".join(summary.pop("notes")))
    print(summary.pop("table", ""))
    print(json.dumps(summary, indent=1))
    print("\n".join(faults) or "nothing is wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
