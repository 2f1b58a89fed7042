"""What a receipt brings about: an end of silence, the fleet's own receipt, a declared range."""

from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core import session_table
from gateway.core.evidence import receipt as receipts
from gateway.core.journal import outbox
from gateway.delivery.receipts import Receipts
from gateway.signer import EvidenceSigner, Verifier

FLEET = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))


class Lane:
    """What receipts do to the evidence lane; the outbox says what a receipt is."""

    def __init__(self, status, behind=False, deleted=None):
        self.done = []
        self.silence = SimpleNamespace(answered=lambda: None, responded=lambda _: None)
        self.outbox = SimpleNamespace(
            receipt=lambda _: outbox.AdvanceResult(status, 10, 1, None),
            behind=lambda _: behind, deleted=lambda: deleted, divided=False,
            start_over=lambda: self.done.append("start over"))

    def wake(self):
        self.done.append("wake")

    def show_receipt(self):
        self.done.append("show")

    async def declare_lost(self, numbers):
        self.done.append(["lost", numbers])


async def acted(lane, state=session_table.ONLINE, signer=FLEET):
    """Return the bodies of the events that one good receipt brought."""
    put = []

    async def take(event):
        put.append(event.body)
    clock = SimpleNamespace(raise_floor=lambda _: True, ticks_ms=lambda: 0)
    writer = SimpleNamespace(clock=clock, put=take, receipt=lambda *given: lane.done.append(given))
    session = SimpleNamespace(state=state, answered=lambda: None)
    found = receipts.Receipt("cab-1", bytes(16), 1, 10, bytes(32), 0)
    sealed = receipts.seal(found, FLEET.kid, signer.sign)
    public = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    await Receipts(Verifier(public), writer, lane, session).take(sealed)
    lane.sealed = sealed
    return put


@pytest.mark.parametrize(("state", "done"), [
    (session_table.UNANSWERED, ["start over", "wake"]), (session_table.ONLINE, [])])
async def test_after_a_silence_everything_is_offered_again(state, done):
    lane = Lane(outbox.UNCHANGED)
    await acted(lane, state)
    assert lane.done == done


@pytest.mark.parametrize("state", [session_table.UNANSWERED, session_table.ONLINE])
@pytest.mark.parametrize("status", [outbox.UNCHANGED, outbox.STALE_EPOCH])
async def test_a_fleet_that_says_less_is_shown_its_receipt(state, status):
    lane = Lane(status, behind=True)
    await acted(lane, state)
    assert lane.done[-1] == "show"


async def test_what_was_deleted_is_declared_each_time_a_new_epoch_asks_for_it():
    for lane, told in ((Lane(outbox.REWOUND, deleted=(1, 7)), [["lost", "1-7"]]),
                       (Lane(outbox.REWOUND), []), (Lane(outbox.ADVANCED, deleted=(1, 7)), [])):
        await acted(lane)
        assert [one for one in lane.done if one[0] == "lost"] == told


async def test_the_receipt_that_moves_the_mark_is_kept_as_it_came():
    lane = Lane(outbox.ADVANCED)
    await acted(lane)
    assert lane.done == [(10, 1, lane.sealed), "wake"]


@pytest.mark.parametrize("status", [outbox.ADVANCED, outbox.REWOUND, outbox.FORK, outbox.AHEAD])
async def test_a_receipt_that_the_fleet_did_not_sign_does_nothing_but_raise_an_alarm(status):
    stranger = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32))
    lane = Lane(status, behind=True, deleted=(1, 7))
    assert [body[0] for body in await acted(lane, signer=stranger)] == ["receipt-refused"]
    assert lane.done == []
