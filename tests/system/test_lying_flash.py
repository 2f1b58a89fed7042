"""Flash that lies: told durable, sent, receipted, and gone after a power cut (journal.md C6).

Nobody can keep what such a card forgets.  What holds: nothing is booked twice or mixed, the
fleet and the gateway both say what happened, the hole is declared, and everything read after
the cut arrives.
"""

import random
from collections import Counter

import pytest

from fleet.store import incidents
from gateway.core.codec import record
from gateway.core.journal.batch_files import parse_name
from tests.support.lying_flash_site import Site
from tests.support.memory_store import LIES_MAX

DECLARING = (record.GAP, record.TORN, record.IO_ERROR, record.ALARM)
ROUNDS_AFTER = 5            # connections after the cut: the fleet has to repeat itself


def batch_in_the_making(site):
    """Ten minutes in three commits, sealed."""
    for _ in range(3):
        site.poll(30)
        site.commit()
    site.seal()


def online(site):
    """Everything is delivered at once."""
    for _ in range(3):
        batch_in_the_making(site)
        site.deliver()


def with_a_tail(site):
    """... and commits follow that no batch holds yet."""
    online(site)
    site.poll(30)
    site.commit()


def receipts_lost(site):
    """The fleet has everything, the gateway never heard of it."""
    batch_in_the_making(site)
    site.deliver()
    for _ in range(2):
        batch_in_the_making(site)
        site.deliver(acknowledge=False)


def short_lives(site):
    """Starts follow each other; boots and batches are small."""
    batch_in_the_making(site)
    for _ in range(3):
        site.start()
        site.poll(10)
        site.seal()
        site.deliver()


def trimmed(site):
    """What was acknowledged is deleted, but for the last batch."""
    online(site)
    site.journal.trim(0)
    batch_in_the_making(site)
    site.deliver()


def offline(site):
    """Nothing was ever sent."""
    for _ in range(3):
        batch_in_the_making(site)


LIVES = (online, with_a_tail, receipts_lost, short_lives, trimmed, offline)


def any_life(seed):
    """Return a life of 25 random steps and one more batch."""
    def steps(site):
        chance = random.Random(seed)
        for _ in range(25):
            step = chance.choice("ppcccssddlt")
            if step in "pc":
                site.poll(10 * chance.randint(1, 3))
            if step == "t":
                site.journal.trim(0)
            {"p": site.commit, "c": site.commit, "s": site.seal, "t": site.commit,
             "d": site.deliver, "l": site.start}[step]()
        batch_in_the_making(site)           # what the fleet holds and the flash may forget
        site.deliver(acknowledge=seed % 2 == 0)
        if seed % 3 == 0:
            site.poll(10)                   # and what it alone had
            site.commit()
    return steps


def last_writes():
    """Return the sets of writes that vanish: the last k, for every k."""
    return [set(range(1, k + 1)) for k in range(1, LIES_MAX + 1)]


def some_of_them(seed):
    """Return a set for every k: the k-th write from the end and some of the later ones."""
    chance = random.Random(seed)
    return [{k} | {place for place in range(1, k) if chance.random() < 0.5}
            for k in range(1, LIES_MAX + 1)]


def case(folder, live, vanished):
    """Live, cut, go on; hold everything; return what kind of end it was."""
    folder.mkdir()
    site = Site(folder)
    try:
        live(site)
        before = set(site.told)
        site.power_cut(vanished)
        declared = [kind for kind, _ in site.opening_events if kind in DECLARING]
        last_read_ms = dict(site.last_read_ms)
        for _ in range(ROUNDS_AFTER):
            site.poll(20)
            site.seal()
            site.deliver()
        return _judge(site, before, last_read_ms, declared)
    finally:
        site.close()


def _judge(site, before, last_read_ms, declared):
    scans = site.scans()
    assert len(scans) == len(set(scans)) == site.scans_booked(), "a scan was booked twice"
    declared = declared or site.incidents() & {incidents.GAP, incidents.LOST}
    missing = site.told - set(scans)
    assert missing <= before, "what was read after the cut did not arrive"
    for stream, second in missing - site.left:
        absent = second > site.read_until_s(last_read_ms, stream)
        assert absent or declared, f"stream {stream} at {second} s is lost and nobody says so"
    assert not missing & site.left or site.told_to_stay(), "what stays here is not named"
    divided = site.journal.journal_id != site.first_id
    forgotten = site.forgotten()
    assert not forgotten or divided or declared, f"batches {forgotten}: nobody noticed"
    assert divided == bool(site.alarms) == (incidents.RESET in site.incidents())
    if divided:
        return "divided"
    return "lost, declared" if missing else "nothing lost"


def play(folder, cases):
    """Run cases, each (life, writes that vanish); return how many ended how."""
    ends = Counter()
    for number, (live, vanished) in enumerate(cases):
        ends[case(folder / str(number), live, vanished)] += 1
    return ends


def test_what_lying_flash_forgets_is_told_and_never_booked_twice(tmp_path):
    ends = play(tmp_path, [(live, vanished) for live in LIVES for vanished in last_writes()])
    assert sum(ends.values()) == LIES_MAX * len(LIVES)
    assert min(ends["divided"], ends["lost, declared"], ends["nothing lost"]) > 5


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_four_hundred_lies_are_told_and_never_booked_twice(tmp_path, capsys):
    cases = [(live, vanished) for live in LIVES for vanished in some_of_them(0)]
    for seed in range(22):
        cases += [(any_life(seed), vanished) for vanished in last_writes() + some_of_them(seed)]
    ends = play(tmp_path, cases)
    with capsys.disabled():
        print(f"\nlying flash, k = 1..{LIES_MAX}: {dict(ends)}, 0 booked twice, 0 untold")
    assert sum(ends.values()) == len(cases) == 400
    assert min(ends["divided"], ends["lost, declared"], ends["nothing lost"]) > 20


def test_after_a_second_start_the_new_journal_is_the_one_that_goes_on(tmp_path):
    site = Site(tmp_path)
    online(site)
    site.power_cut(set(range(1, LIES_MAX + 1)))
    for _ in range(ROUNDS_AFTER):
        site.poll(20)
        site.seal()
        site.deliver()
    new = site.journal.journal_id
    site.power_cut(set())
    site.poll(20)
    site.seal()
    site.deliver()
    assert site.journal.journal_id == new != site.first_id
    assert site.outbox.waiting() == 0 and site.scans_booked() == len(set(site.scans()))
    assert len({parse_name(name)[0] for name in site.flash.list() if name[0] == "b"}) == 2
    site.close()
