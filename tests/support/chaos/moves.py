"""What chaos does to a party, each move with its own healing; hold_s: how long it lasts.

A move begins and ends with the party running on a disk that takes writes.
"""

import asyncio
import contextlib
import shutil
import signal
import time

from tests.support.chaos.disk import flip

READ_ONLY_SAID_S = 15.0     # the status file is written every 10 s


async def kill(site, party, _chance, hold_s):
    """SIGKILL, and later another life."""
    await site.end(party)
    await asyncio.sleep(hold_s)
    await site.launch(party)


async def freeze(site, party, _chance, hold_s):
    """SIGSTOP, and later SIGCONT."""
    site.freeze(party, True)
    await asyncio.sleep(hold_s)
    site.freeze(party, False)


async def stop(site, party, _chance, hold_s):
    """An orderly stop; what the gateway says of it must be true."""
    code = await site.end(party, signal.SIGTERM)
    if party == "gateway":
        await site.check_farewell(code)
    await asyncio.sleep(hold_s)
    await site.launch(party)


async def full_disk(site, party, chance, hold_s):
    """Another program takes all space; half of the time the party is killed meanwhile."""
    disk = site.disks[party]
    async with making_way(site) if party == "gateway" else contextlib.nullcontext():
        disk.fill()
        try:
            await asyncio.sleep(hold_s / 2)
            if chance.random() < 0.5:
                await site.end(party)
                await site.launch(party)
            await asyncio.sleep(hold_s / 2)
        finally:
            disk.relieve()


async def read_only_disk(site, party, _chance, hold_s):
    """The file system takes no write any more; it is repaired while the party is down."""
    site.disks[party].fail()
    site.read_only[party] = time.monotonic()
    if party == "gateway":
        hold_s = max(hold_s, READ_ONLY_SAID_S)
    await asyncio.sleep(hold_s)
    async with changing(site, party, signal.SIGTERM):
        site.disks[party].repair()
        site.read_only.pop(party)


async def read_only_start(site, party, _chance, hold_s):
    """A start on a disk that takes no write; it takes them again while the party runs."""
    await site.end(party)
    site.disks[party].set_read_only(True)
    site.read_only[party] = time.monotonic()
    await site.launch(party)
    await asyncio.sleep(hold_s)
    site.disks[party].set_read_only(False)
    site.read_only.pop(party)


async def move_disk(site, party, _chance, hold_s):
    """Everything is copied to a new disk while the party is down."""
    async with changing(site, party, signal.SIGTERM):
        await asyncio.sleep(hold_s / 2)
        site.disks[party].move()


# --- the gateway's journal -------------------------------------------------------------------

async def damage_batch(site, party, chance, _hold_s):
    """Flip bits of one sealed batch; its records are destroyed, and `verify` must say so."""
    async with changing(site, party):
        rows = [row for row in await site.listing() if row["what"] == "batch" and not row["wrong"]]
        files = {parts[1]: path for path in site.disks[party].place.glob("b*-*-*")
                 if (parts := (path.name, int(path.name.split("-")[1], 16)))}
        if not rows:
            return
        row = chance.choice(rows)
        flip(files[row["number"]], chance)
        site.destroy(row)
        said = await site.journal("verify")
        if said.code != 1 or f"batch {row['number']}" not in said.out:
            site.wrong(f"journal verify does not name batch {row['number']}, whose bits were "
                       f"flipped: {said.code} {said.out[-300:]}")


async def damage_tail(site, party, chance, _hold_s):
    """Flip bits in a used part of the tail; what only stood there is destroyed at most."""
    async with changing(site, party):
        before = [row for row in await site.listing() if row["what"] == "tail"]
        files = sorted(site.disks[party].place.glob("t[0-9]*"))
        used = [(path, len(path.read_bytes().rstrip(b"\0"))) for path in files]
        used = [(path, size) for path, size in used if size > 0]
        if not used:
            return
        path, size = chance.choice(used)
        flip(path, chance, 0, size)
        hit = [row for row in before if row["number"] == path.name]
        for row in hit:
            site.destroy(row)
        site.note(f"flipped: {path.name}, at most records {hit[0]['first_seq']} to "
                  f"{hit[-1]['last_seq']}" if hit else f"flipped: {path.name}, all of it sealed")
        await site.journal("doctor")


async def damage_cursor(site, party, chance, _hold_s):
    """Flip bits of one slot of the cursor: nothing is destroyed."""
    async with changing(site, party):
        slots = sorted(site.disks[party].place.glob("c[0-9]*"))
        if slots:
            flip(chance.choice(slots), chance)


# --- the fleet's store -----------------------------------------------------------------------

async def backup(site, _party, _chance, _hold_s):
    """Back the store up while it is in use, and keep a plain copy of a stopped one."""
    await site.ask("fleet", "backup", *site.data(), "--out", str(site.out / "fleet.backup"))
    async with changing(site, "fleet", signal.SIGTERM):
        _copy(site.fleet, site.out / "plain")


async def restore_backup(site, _party, _chance, _hold_s):
    """`fleet restore` of the last backup, or of nothing where there is none yet."""
    made = site.out / "fleet.backup"
    await _restore(site, ("--backup", str(made)) if made.exists() else ("--empty",))


async def restore_empty(site, _party, _chance, _hold_s):
    """`fleet restore --empty`: the backup was lost, too."""
    await _restore(site, ("--empty",))


async def _restore(site, words):
    async with changing(site, "fleet", signal.SIGTERM):
        said = await site.ask("fleet", "restore", *site.data(), *words)
        if said.code:
            site.wrong(f"fleet restore: {said.code} {said.error}")
        for old in site.fleet.glob("fleet.db.before-*"):
            old.unlink()


async def restore_copy(site, _party, _chance, _hold_s):
    """The plain copy is put back, as operations.md says, without telling anybody."""
    async with changing(site, "fleet"):
        if (site.out / "plain" / "fleet.db").exists():
            _copy(site.out / "plain", site.fleet)
            site.disks["fleet"].settle()


def _copy(source, target):
    target.mkdir(exist_ok=True)
    for name in ("fleet.db", "fleet.db-wal", "fleet.db-shm"):
        (target / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(source / name, target / name)


async def move_store_away(site, _party, _chance, _hold_s):
    """The database and the file beside it are gone: somebody moved them away."""
    async with changing(site, "fleet"):
        for path in site.fleet.glob("fleet.db*"):
            path.unlink()
        (site.fleet / "fleet.epoch").unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def making_way(site):
    """A full disk lets the gateway delete what was receipted, and nothing else; where the fleet's
    store is destroyed as well, that is lost by the chaos."""
    before, receipted = sequences_of(await site.listing()), await site.receipted()
    yield
    gone = before - sequences_of(await site.listing())
    receipted = max(receipted, await site.receipted())
    if gone and max(gone) > receipted:
        site.wrong(f"a full disk, and records up to {max(gone)} were deleted, receipts are for "
                   f"{receipted}")
    site.ledger.destroyed[site.ledger.journal()] |= {seq for seq in gone if seq <= receipted}


def sequences_of(rows):
    """Return the sequences that rows of `gateway journal ls` hold."""
    return {seq for row in rows if not row["wrong"]
            for seq in range(row["first_seq"], row["last_seq"] + 1)}


@contextlib.asynccontextmanager
async def changing(site, party, how=signal.SIGKILL):
    """End a party, keep commands away from its disk, and start it again at the end."""
    await site.end(party, how)
    async with site.commands:
        yield
    await site.launch(party)


DECKS = {
    "gateway": (kill, kill, freeze, stop, full_disk, read_only_disk, read_only_start, move_disk,
                damage_batch, damage_tail, damage_tail, damage_cursor),
    "broker": (kill, kill, kill, freeze, freeze, full_disk, read_only_disk, move_disk),
    "fleet": (kill, freeze, stop, full_disk, read_only_disk, move_disk, backup, restore_backup,
              restore_copy, restore_empty, move_store_away),
}
