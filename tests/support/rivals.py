"""A cabinet whose key a thief has: two journals and more about one time, and what comes of them.

    site = Site(folder)                 a fleet with one cabinet, real time, hours of paper
    site.deliver(site.true, 8)          eight quarter hours of the true gateway
    thief = site.thief(at_s=3600)       a journal of the same key with a frozen grid counter
    site.wh("grid_import")              [Wh of each quarter hour], None: not known

Everything goes in by ingest and comes out by the product's own reports.
"""

import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleet.__main__ import main
from fleet.evidence import evidence
from fleet.formats.registry import Registry, registry_file
from fleet.formats.timetext import rfc3339
from fleet.ingest.ingest import Ingest
from fleet.reporting import changes, report
from fleet.rollup import overlaps
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from gateway.core.codec import record
from gateway.core.evidence import handover
from gateway.core.reading import CLOCK_NTP, CLOCK_RTC, ClockState
from tests.fleet.maker import ORIGIN_MS, QUARTER_MS, PaperGateway

NTP = ClockState(CLOCK_NTP, 0, ORIGIN_MS, 50)
HOURS = 8
FOREVER_MS = 1 << 60


def rtc(shift_s=0):
    """Return the state of a real-time clock that is off by so much."""
    return ClockState(CLOCK_RTC, 0, ORIGIN_MS + shift_s * 1000, 60_000)


class Site:
    """A fleet's folder with one cabinet."""

    def __init__(self, data, **options):
        self.data, self.key = data, Ed25519PrivateKey.generate()
        self.true = PaperGateway(**options)
        self.true.enrol(data)
        self.now_ms = ORIGIN_MS
        self._write_key()
        self.reopen()

    def reopen(self):
        """Open the store, as a fleet does that is started again."""
        self.store = EvidenceStore(self.data)
        self._open()

    def _open(self):
        self.registry = Registry(self.data)
        self.ingest = Ingest(self.store, self.registry.find, self.key, lambda: self.now_ms)

    def _write_key(self):
        """Leave what `fleet decide` signs with where it looks for it."""
        keys = self.data / "keys"
        keys.mkdir()
        for name in ("ca.crt", "client.crt", "client.key", "receipt.key"):
            (keys / name).write_bytes(self.key.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            (keys / name).chmod(0o600)
        (self.data / "fleet.toml").write_text(
            '[broker]\nhost = "127.0.0.1"\nport = 8883\nca = "keys/ca.crt"\n'
            'certificate = "keys/client.crt"\nkey = "keys/client.key"\n'
            '[receipt]\nkey = "keys/receipt.key"\n')

    def close(self):
        """Close the store."""
        self.store.close()

    def thief(self, at_s=0, number=5, key=None):
        """Return a gateway with a journal of its own that signs with the cabinet's key."""
        made = PaperGateway(journal_id=bytes([number]) * 16, key=key or self.true.key)
        made.at_s = at_s
        return made

    def replace_board(self, old, new, why="lightning", journal=True):
        """Enrol another key, named by a hand-over of the old one."""
        said = handover.Handover("shop-1", old.journal_id, new.public,
                                 new.journal_id if journal else None, ORIGIN_MS, why)
        entry = new.entry() | {"handovers": [{
            "public_hex": old.public.hex(),
            "statement_hex": handover.seal(said, old.kid, old.key.sign).hex()}]}
        (self.data / "registry/shop-1.json").write_text(json.dumps(entry))
        self._open()

    def receive(self, sealed):
        """Have the fleet receive a batch now; return the outcome's code."""
        return self.ingest.process_one("shop-1", sealed).code

    def deliver(self, gateway, batches, grid=None, clock=NTP, seconds=900):
        """Have a gateway seal and deliver batches, each as soon as it is sealed; return the codes.

        grid: what its grid meter shows all the time, None for the true counter.
        """
        codes = []
        for _ in range(batches):
            sealed = self.seal(gateway, grid, clock, seconds)
            self.now_ms = max(self.now_ms, ORIGIN_MS + gateway.at_s * 1000)
            codes.append(self.receive(sealed))
        return codes

    def seal(self, gateway, grid=None, clock=NTP, seconds=900):
        """Return a gateway's next batch."""
        records = gateway.records(seconds, gateway.number == 1)
        if grid is not None:
            records = [one if not isinstance(one, record.ScanRecord) or one.stream
                       else one._replace(values=(grid, *one.values[1:])) for one in records]
        return gateway.seal(records, seconds, clock=clock)

    def question(self, hours=HOURS):
        """Return a report's question about the first hours."""
        return report.ReportRequest(Registry(self.data).find("shop-1"), None, ORIGIN_MS,
                                    ORIGIN_MS + hours * 4 * QUARTER_MS)

    def report(self, hours=HOURS, issued_ms=None):
        """Return the report of the first hours; given out at a time, if one is given."""
        with open_reader(self.data) as reader:
            content = report.build(reader, self.question(hours))
            if issued_ms is not None:
                changes.keep(self.data, reader, content, issued_ms)
            return content

    def wh(self, role="grid_import", hours=HOURS):
        """Return the Wh of each quarter hour of the first hours, as a report gives them."""
        return [row["energy_wh"][role] for row in self.report(hours)["series"]]

    def set_aside(self):
        """Return [(journal, by, first quarter, last quarter, decision)] that need to be seen."""
        with open_reader(self.data) as reader:
            found = overlaps.of_period(reader, "shop-1", 0, FOREVER_MS)
        return [(one.journal[0], one.by[0], (one.from_ms - ORIGIN_MS) // QUARTER_MS,
                 (one.to_ms - ORIGIN_MS) // QUARTER_MS, one.decision and one.decision.number)
                for one in found if not one.seam]

    def bundle(self, hours=HOURS):
        """Return the evidence bundle of the first hours."""
        question = self.question(hours)
        with open_reader(self.data) as reader:
            return evidence.build(reader, question, registry_file(self.data, question.cabinet),
                                  self.key)

    def command(self, name, *arguments):
        """Run a command of the fleet; return its exit code."""
        return main([name, "--data", str(self.data), *arguments])

    def decide(self, journal, first, end, reason="the board was stolen"):
        """Run `fleet decide`: a journal counts from quarter hour first to end; return the code."""
        return self.command("decide", "--cabinet", "shop-1", "--journal", journal.journal_id.hex(),
                            "--from", rfc3339(ORIGIN_MS + first * QUARTER_MS), "--to",
                            rfc3339(ORIGIN_MS + end * QUARTER_MS), "--reason", reason,
                            "--author", "A. Auditor")
