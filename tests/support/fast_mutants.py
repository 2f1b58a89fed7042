"""Mistakes that the fast tests of a room must find, each planted as a change of text.

`tests/system/test_fast_mutants.py` plants them one by one (tests/support/plant.py) and runs the
fast tests that are named.  The first ones are those of an outsider that once outlived the fast
tests; the others are ours.  A name says what the product does wrong.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A mistake.  right: text that stands once in the file; wrong: what stands there instead.
    tests: files, below tests/, of which one at least must fail."""

    name: str
    file: str
    right: str
    wrong: str
    tests: str


CORE, JOURNAL = "gateway/core/", "gateway/core/journal/"
CURSOR, OUTBOX, POLICY = (f"{JOURNAL}test_{name}.py" for name in ("cursor", "outbox", "policy"))
OF_JOURNAL = f"{JOURNAL}test_journal.py"
INGEST = "fleet/ingest/test_admission.py fleet/ingest/test_delivery.py"
LATE_TIME = "fleet/rollup/test_late_time.py fleet/rollup/test_clock_recount.py"
AUTHORITY = "fleet/authority/test_setup.py fleet/authority/test_enrol.py"
FORMATS = "fleet/formats/test_registry.py fleet/formats/test_site_descriptor.py"

OUTSIDER = (
    Mutant("a cursor slot stays in use after it failed", "gateway/core/journal/cursor.py",
           "        self._store.sync(name)\n"
           "        self._slots.append((self._generation, name))\n",
           "        self._slots.append((self._generation, name))\n"
           "        self._store.sync(name)\n", CURSOR),
    Mutant("the cursor's newest slot is written next", "gateway/core/journal/cursor.py",
           "        name = self._slots[0][1]\n        self._slots = self._slots[1:] ",
           "        name = self._slots[-1][1]\n        self._slots = self._slots[:-1] ", CURSOR),
    Mutant("a new epoch's lower mark does not lower what may be trimmed",
           "gateway/core/journal/cursor.py",
           "            self.marked_seq = min(self.marked_seq, seq)\n", "            pass\n",
           CURSOR),
    Mutant("trimmed by the acknowledged mark before it is durable",
           "gateway/core/journal/journal.py",
           "self.batches.trim(keep_bytes, self._cursor.marked_seq)",
           "self.batches.trim(keep_bytes, self._cursor.seq)", OF_JOURNAL),
    Mutant("trimmed by what is sealed", "gateway/core/journal/journal.py",
           "self.batches.trim(keep_bytes, self._cursor.marked_seq)",
           "self.batches.trim(keep_bytes, self._sealed.last_seq)", OF_JOURNAL),
    Mutant("one batch goes across a hole", "gateway/core/journal/unsealed.py",
           "                          or piece.first_seq != taken[-1].last_seq + 1\n", "", JOURNAL),
    Mutant("a slot that failed is used again", "gateway/core/journal/tail.py",
           "                if usable and len(self._free) < FREE_MAX:",
           "                if len(self._free) < FREE_MAX:", JOURNAL),
    Mutant("a free slot that cannot be read is used", "gateway/core/journal/tail.py",
           "# it cannot be read: never write to it\n                continue\n", "\n", JOURNAL),
    Mutant("the cursor is not written at a stop", "gateway/core/journal/policy.py",
           "            or self._receipts >= CURSOR_RECEIPTS or stopping)",
           "            or self._receipts >= CURSOR_RECEIPTS)", POLICY),
    Mutant("the cursor is not moved once more after the drain", "gateway/storage/writer.py",
           "        self._move_cursor()\n        return is_late\n", "        return is_late\n",
           "gateway/storage/test_writer.py"),
    Mutant("after a silence nothing is offered again", "gateway/delivery/receipts.py",
           "            evidence.outbox.start_over()\n", "", "gateway/delivery/test_receipts.py"),
    Mutant("starting over forgets the turns only", "gateway/core/journal/outbox.py",
           "        self._under_way, self._turns = {}, Turns()\n",
           "        self._turns = Turns()\n", OUTBOX),
    Mutant("due times stay where a slew left them", "gateway/polling/poller.py",
           "        next_ms -= astray_ms if 2 * astray_ms <= interval_ms "
           "else astray_ms - interval_ms\n", "", "gateway/polling/test_poller.py"),
    Mutant("due times are only moved back", "gateway/polling/poller.py",
           "astray_ms if 2 * astray_ms <= interval_ms else astray_ms - interval_ms", "astray_ms",
           "gateway/polling/test_poller.py"),
    Mutant("the latest clock of a boot is carried back", "fleet/store/rollup_tables.py",
           '"(clocks.source > ?9) AND (excluded.anchor_ticks_ms, excluded.number) < "',
           '"(clocks.source > ?9) AND (excluded.anchor_ticks_ms, excluded.number) > "',
           "fleet/rollup/test_late_time.py"),
    Mutant("idle energy above what was metered", "gateway/ledger/compute/compute.py",
           "    idle_wh = min(energy_wh, idle_wh)\n", "", "gateway/ledger/compute"),
    Mutant("the authority may make another authority", "fleet/authority/certificates.py",
           "path_length=0)", "path_length=1)", AUTHORITY),
)

OURS = (
    # Journal and cursor.
    Mutant("a commit is durable before its sync", "gateway/core/journal/tail.py",
           "            self._store.sync(here.name)\n        except", "        except", JOURNAL),
    Mutant("a new segment's name is not made durable", "gateway/core/journal/tail.py",
           "            self._store.sync_dir()\n            self._names_durable = True\n",
           "            self._names_durable = True\n", JOURNAL),
    Mutant("a slot is recycled while it still holds unsealed records",
           "gateway/core/journal/tail.py",
           "            if last_seq <= sealed_seq and name != current:",
           "            if name != current:", JOURNAL),
    Mutant("frames of an earlier generation come back", "gateway/core/journal/tail.py",
           "                    self.generation += 1\n            except",
           "                    break\n            except", JOURNAL),
    Mutant("the seal moves on before the batch is durable", "gateway/core/journal/batch_files.py",
           "            self.store.sync(name)\n            self.store.sync_dir()\n"
           "        except StoreError as error:\n            if made",
           "        except StoreError as error:\n            if made", JOURNAL),
    Mutant("the last batch is trimmed, too", "gateway/core/journal/batch_files.py",
           "while (len(self.numbers()) > 1 and", "while (len(self.numbers()) > 0 and", JOURNAL),
    Mutant("an older mark wins over a newer one", "gateway/core/journal/cursor.py",
           "        return max(mine) if mine else None\n",
           "        return min(mine) if mine else None\n", CURSOR),
    Mutant("the mark falls within an epoch", "gateway/core/journal/cursor.py",
           "epoch < self.epoch or epoch == self.epoch and seq < self.seq:",
           "epoch < self.epoch:", CURSOR),
    Mutant("a boot number is used twice", "gateway/core/journal/journal.py",
           "found.boot + 1, opening.config_hash", "found.boot, opening.config_hash", JOURNAL),
    Mutant("an unclean start is called clean", "gateway/core/journal/journal.py",
           "0 if found.clean else 1", "0", JOURNAL),
    Mutant("the configuration is not stated again after a loss", "gateway/core/journal/journal.py",
           "kind for kind, _ in found.events if kind in (record.GAP, record.ALARM)",
           "kind for kind, _ in found.events if kind < 0", JOURNAL),
    # Receipts, epochs, outbox.
    Mutant("a receipt ahead of what is sealed moves the mark", "gateway/core/journal/outbox.py",
           "        if receipt.low_water > journal.sealed_seq:\n", "        if False:\n", OUTBOX),
    Mutant("a receipt of an ended epoch counts", "gateway/core/journal/outbox.py",
           "        if receipt.epoch < self.epoch:\n            return STALE_EPOCH, None\n", "",
           OUTBOX),
    Mutant("a receipt with another chain value counts", "gateway/core/journal/outbox.py",
           "            return info[2] == receipt.chain\n", "            return True\n", OUTBOX),
    Mutant("a new epoch does not empty the window", "gateway/core/journal/outbox.py",
           "            self.start_over()\n            missing = self._missing()",
           "            missing = self._missing()", OUTBOX),
    Mutant("what was deleted is named from the fleet's mark", "gateway/core/journal/outbox.py",
           "        return (1, last) if last else None\n",
           "        return (2, last) if last else None\n", OUTBOX),
    Mutant("one refusal begins a new journal", "gateway/core/journal/policy.py",
           "    return refusals >= DIVIDED_TIMES\n", "    return refusals >= 1\n", POLICY),
    Mutant("a receipt is believed without its signature", "gateway/delivery/receipts.py",
           "            self._verifier.check(message.kid, message.signed, message.signature)\n", "",
           "gateway/delivery/test_receipts.py"),
    Mutant("an epoch from a clock that went back falls", "fleet/store/epoch.py",
           "    return max([now_ms, 1] + [epoch + 1 for epoch in epochs])\n",
           "    return max(now_ms, 1)\n", "fleet/store/test_epoch.py"),
    Mutant("a shown receipt of this epoch proves nothing", "fleet/ingest/shown_receipt.py",
           "shown.epoch > epoch or shown.epoch == epoch and lost is not None",
           "shown.epoch > epoch", "fleet/ingest/test_shown_receipt.py"),
    Mutant("anybody may show a receipt", "fleet/ingest/shown_receipt.py",
           "shown.cabinet != sender or ", "", "fleet/ingest/test_shown_receipt.py"),
    Mutant("the low-water mark passes a missing batch", "fleet/store/low_water.py",
           "        if last < number:\n            return mark\n",
           "        if last < number and stored(number + 1) is None:\n            return mark\n"
           "        last = max(last, number)\n", "fleet/store/test_low_water.py"),
    Mutant("the low-water mark does not compare links", "fleet/store/low_water.py",
           "(lost or batch.prev == mark.chain_hash)", "True", "fleet/store/test_low_water.py"),
    Mutant("a batch number is declared lost by itself", "fleet/rollup/rollup.py",
           "        if high >= batch.number:\n            return\n", "", INGEST),
    # Admission.
    Mutant("an overlap is admitted", "fleet/ingest/admission.py",
           "    if held.overlap is not None:", "    if False:", "fleet/ingest/test_admission.py"),
    Mutant("the link to the batch behind is not compared", "fleet/ingest/admission.py",
           "        if after.prev != opened.chain_hash:", "        if False:", INGEST),
    Mutant("a journal may begin with any link", "fleet/ingest/admission.py",
           "    if 1 in (batch.first_seq, batch.number) and batch.prev",
           "    if 0 in (batch.first_seq, batch.number) and batch.prev", INGEST),
    Mutant("a disputed journal goes on out of order", "fleet/ingest/ingest.py",
           "        if (around.before is None and batch.number > 1\n",
           "        if (around.before is None and batch.number < 1\n", INGEST),
    Mutant("an old key signs outside of its journal", "fleet/formats/registry.py",
           "    return cabinet.public if kid == cabinet.kid else None\n",
           "    return next((one.public for one in cabinet.previous if one.kid == kid),\n"
           "                cabinet.public if kid == cabinet.kid else None)\n", FORMATS),
    # Clock states.
    Mutant("a real-time clock is as good as a synced one", "fleet/rollup/rollup.py",
           "        if believed and own.source > CLOCK_RTC:", "        if believed:",
           LATE_TIME),
    Mutant("a clock carried back is as certain as it was", "fleet/rollup/rollup.py",
           "clock._replace(uncertainty_ms=clock.uncertainty_ms + grown_ms)", "clock",
           LATE_TIME),
    Mutant("a clock of tomorrow is believed", "fleet/rollup/rollup.py",
           "        return bool(ahead_ms <= DAY_MS + min(clock.uncertainty_ms, DAY_MS))\n",
           "        return True\n", LATE_TIME),
    Mutant("a clock that was set back is believed within a day", "gateway/timekeeping/clock.py",
           "        low_ms = max(self.floor_ms - FLOOR_SLACK_MS, BUILD_FLOOR_MS)\n",
           "        low_ms = BUILD_FLOOR_MS\n", "gateway/timekeeping"),
    Mutant("a lost source costs no certainty", "gateway/timekeeping/clock.py",
           "            return CLOCK_RTC, self._held.bound_ms, self.utc_ms()\n",
           "            return CLOCK_RTC, 10, self.utc_ms()\n", "gateway/timekeeping"),
    # Ledger.
    Mutant("reservations beyond the cores are not shared", "gateway/ledger/compute/compute.py",
           "    bottom = max(whole, sum(held.values()))\n", "    bottom = whole\n",
           "gateway/ledger/compute"),
    Mutant("dynamic energy by reservation", "gateway/ledger/compute/compute.py",
           "for n, s in use.items()}\n    idle =", "for n, s in shares.items()}\n    idle =",
           "gateway/ledger/compute"),
    Mutant("a missing amount counts as zero in a sum", "gateway/ledger/assemble.py",
           "    if len(values) < len(found):\n        return None, MISSING\n", "",
           "gateway/ledger/test_assemble.py"),
    Mutant("the best quality of a sum counts", "gateway/ledger/assemble.py",
           "    return sum(values), max(", "    return sum(values), min(",
           "gateway/ledger/test_assemble.py"),
    Mutant("a charge without known carbon is clean", "gateway/ledger/flows/balance.py",
           "        return inv.charge(supply.inventory, origins, None), 0\n",
           "        return inv.charge(supply.inventory, origins, 0), 0\n", "gateway/ledger/flows"),
    # Certificates.
    Mutant("a leaf outlives its authority", "fleet/authority/certificates.py",
           "    ends = min(now + datetime.timedelta(days=LEAF_DAYS), "
           "issuer.certificate.not_valid_after_utc)\n",
           "    ends = now + datetime.timedelta(days=LEAF_DAYS)\n", AUTHORITY),
    Mutant("a cabinet's certificate may be a server's", "fleet/authority/certificates.py",
           "x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])",
           "x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])", AUTHORITY),
    Mutant("renewal is due at half of a life", "fleet/authority/certificates.py",
           "    return begin + (end - begin) * 2 / 3\n", "    return begin + (end - begin) / 2\n",
           AUTHORITY),
    Mutant("anybody's request is enrolled", "fleet/authority/enrol.py",
           "    if message.kid != key_id(request.public) or not verified(\n"
           "            request.public, message.signed, message.signature):\n",
           "    if message.kid != key_id(request.public):\n", AUTHORITY),
    Mutant("a request may name another cabinet", "fleet/authority/enrol.py",
           "    if certificates.common_name(csr.subject) != request.cabinet:\n",
           "    if False:\n", AUTHORITY),
    # Descriptor.
    Mutant("two devices of one name", "fleet/formats/site_descriptor.py",
           "    _need(len({entry[\"name\"] for entry in devices}) == len(devices), "
           "\"two devices of one name\")\n", "", FORMATS),
    Mutant("a factor set may be a path", "fleet/formats/site_descriptor.py",
           'SET = re.compile(r"[A-Za-z0-9._-]', 'SET = re.compile(r"[A-Za-z0-9._/-]',
           FORMATS),
    Mutant("an efficiency above one", "fleet/formats/site_descriptor.py",
           '("eta_discharge", "0.001", "1")', '("eta_discharge", "0.001", "10")', FORMATS),
    # Verifier.
    Mutant("fleet verify passes any hole", "fleet/verify.py",
           "        return first <= last <= covered\n", "        return True\n",
           "fleet/transparency/test_proofs.py"),
    Mutant("fleet verify lets a batch declare itself lost", "fleet/verify.py",
           "        if found and int(found[2] or found[1]) < batch.number:\n",
           "        if found:\n", "fleet/ingest/test_delivery.py"),
    Mutant("fleet verify checks no signature", "fleet/verify.py",
           "public is None or not verified(public, message.signed, message.signature)",
           "public is None", "fleet/transparency/test_proofs.py"),
    Mutant("the verifier passes any lost batch", "docs/verify_evidence.py",
           "and int(told[2] or told[1]) < about[2])\n", "and told)\n",
           "system/test_verifier_period.py"),
    Mutant("the verifier takes a head of another key", "docs/verify_evidence.py",
           '        need(self.brought[0] in (None, key), ', "        need(True, ",
           "system/test_verifier_claims.py"),
    Mutant("the verifier lets a hole stand", "docs/verify_evidence.py",
           "        good = first > end and (gone or before == prev or None in (before, prev))\n",
           "        good = first > end\n", "system/test_verifier_period.py"),
    Mutant("the verifier wants no proof of a later log", "docs/verify_evidence.py",
           "        need(self.continued == self.heads.keys(), ", "        need(True, ",
           "system/test_verifier.py"),
)
MUTANTS = OUTSIDER + OURS
