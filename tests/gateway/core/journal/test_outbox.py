"""The outbox: window, resend, and what each kind of receipt does."""

from gateway.core.errors import Corrupt, StoreError
from gateway.core.evidence import chain
from gateway.core.evidence.receipt import Receipt
from gateway.core.journal import outbox

DEVICE, ID = "cabinet-1", b"J" * 16


class TenBatches:
    """Batches 1..10 of ten records each, as the journal shows them."""

    journal_id, sealed_seq, acknowledged_seq, epoch = ID, 100, 0, 0
    numbers, corrupt, unread = list(range(1, 11)), (), ()

    def batch_numbers(self):
        return self.numbers

    def chain_at(self, number, seq):
        return None

    def first_number(self, number):
        return number

    def batch_info(self, number):
        if number in self.corrupt:
            raise Corrupt("batch %d" % number)
        if number in self.unread:
            raise StoreError("batch %d" % number, 5)
        return 10 * number - 9, 10 * number, bytes([number]) * 32


def receipt(low_water, epoch=0, chain_hash=None, cabinet=DEVICE, journal_id=ID):
    if chain_hash is None:
        chain_hash = bytes([low_water // 10]) * 32 if low_water else chain.start(DEVICE, ID)
    return Receipt(cabinet, journal_id, epoch, low_water, chain_hash, 0)


def sent(box, count):
    numbers = []
    for _ in range(count):
        number = box.next_batch()
        if number is None:
            break
        box.sent(number, 1000)
        numbers.append(number)
    return numbers


def test_the_oldest_batches_go_first_and_the_window_is_bounded():
    box = outbox.Outbox(DEVICE, TenBatches(), window=3)
    assert sent(box, 9) == [1, 2, 3]
    assert box.waiting() == 10


def test_a_receipt_moves_on_and_opens_the_window():
    box = outbox.Outbox(DEVICE, TenBatches(), window=3)
    sent(box, 3)
    assert box.receipt(receipt(20)) == outbox.AdvanceResult(outbox.ADVANCED, 20, 0, None)
    assert sent(box, 9) == [4, 5]
    assert box.waiting() == 8


def test_an_overdue_batch_goes_out_again():
    box = outbox.Outbox(DEVICE, TenBatches(), window=2, resend_ms=500)
    sent(box, 2)
    assert box.expire(1499) == []
    assert box.expire(1500) == [1, 2]
    assert sent(box, 9) == [1, 2]


def test_a_lost_link_forgets_what_was_under_way():
    box = outbox.Outbox(DEVICE, TenBatches(), window=2)
    sent(box, 2)
    box.session_lost()
    assert sent(box, 9) == [1, 2]


def test_receipts_that_prove_nothing_change_nothing():
    cases = (
        (receipt(20, cabinet="other"), outbox.FOREIGN),
        (receipt(20, journal_id=b"K" * 16), outbox.FOREIGN),
        (receipt(110), outbox.AHEAD),
        (receipt(20, chain_hash=b"x" * 32), outbox.FORK),
        (receipt(15), outbox.FORK),
        (receipt(0), outbox.UNCHANGED),
    )
    for given, status in cases:
        box = outbox.Outbox(DEVICE, TenBatches())
        assert box.receipt(given).status == status, given
        assert box.acknowledged_seq == 0


def test_within_an_epoch_nothing_goes_back():
    box = outbox.Outbox(DEVICE, TenBatches())
    box.receipt(receipt(50, epoch=2))
    assert box.receipt(receipt(30, epoch=2)).status == outbox.UNCHANGED
    assert box.receipt(receipt(60, epoch=1)).status == outbox.STALE_EPOCH
    assert (box.acknowledged_seq, box.epoch) == (50, 2)


def test_a_new_epoch_sends_again_from_its_low_water():
    box = outbox.Outbox(DEVICE, TenBatches(), window=2)
    box.receipt(receipt(80, epoch=1))
    result = box.receipt(receipt(30, epoch=2))
    assert result == outbox.AdvanceResult(outbox.REWOUND, 30, 2, None)
    assert sent(box, 2) == [4, 5]


def test_a_new_epoch_offers_at_once_also_what_was_under_way():
    box = outbox.Outbox(DEVICE, TenBatches(), window=3)
    box.receipt(receipt(60, epoch=1))
    assert sent(box, 3) == [7, 8, 9] and box.next_batch() is None
    assert box.receipt(receipt(60, epoch=2)).status == outbox.ADVANCED
    assert box.under_way() == [7, 8, 9]             # that store lost nothing of these
    assert box.receipt(receipt(40, epoch=3)).status == outbox.REWOUND
    assert box.under_way() == [] and sent(box, 9) == [5, 6, 7]


def test_a_new_epoch_names_what_was_deleted_here():
    journal = TenBatches()
    journal.numbers, journal.acknowledged_seq, journal.epoch = [8, 9, 10], 80, 1
    box = outbox.Outbox(DEVICE, journal)
    result = box.receipt(receipt(30, epoch=2))
    assert result == outbox.AdvanceResult(outbox.REWOUND, 30, 2, (31, 70))
    assert sent(box, 9) == [8, 9, 10]


def test_an_unreadable_batch_is_left_out_and_named():
    journal = TenBatches()
    journal.corrupt = (2,)
    box = outbox.Outbox(DEVICE, journal)
    assert sent(box, 3) == [1, 3, 4]
    assert box.left_out() == [2]


def test_a_batch_that_flash_would_not_read_is_offered_again_later():
    journal = TenBatches()
    journal.unread = (2,)
    box = outbox.Outbox(DEVICE, journal, window=3, resend_ms=500)
    assert sent(box, 2) == [1, 3] and box.left_out() == [2]
    journal.unread = ()
    box.session_lost()
    box.expire(1000)
    assert sent(box, 2) == [1, 3]
    box.session_lost()
    box.expire(1500)
    assert sent(box, 3) == [1, 2, 3] and box.left_out() == []


def test_a_receipt_that_covers_an_unread_batch_still_counts():
    journal = TenBatches()
    journal.unread = (2, 3)
    box = outbox.Outbox(DEVICE, journal)
    assert box.receipt(receipt(50)).status == outbox.ADVANCED
    assert box.waiting() == 5


def test_numbers_without_a_file_are_named_but_only_those_that_wait():
    journal = TenBatches()
    journal.numbers = [1, 2, 4, 5, 8, 9, 10]
    box = outbox.Outbox(DEVICE, journal)
    assert box.left_out() == [3, 6, 7]
    box.receipt(receipt(50))
    assert box.left_out() == [6, 7]
    journal.numbers = [8, 9, 10]        # what was before was acknowledged and deleted
    box.receipt(receipt(90))
    assert box.left_out() == []


def test_a_receipt_that_ends_where_no_batch_is_any_more_proves_nothing():
    journal = TenBatches()
    journal.numbers, journal.corrupt = [1, 2, 4, 5, 6], (5,)
    box = outbox.Outbox(DEVICE, journal)
    assert box.receipt(receipt(30, chain_hash=b"x" * 32)).status == outbox.UNCHANGED
    assert box.receipt(receipt(50, chain_hash=b"x" * 32)).status == outbox.UNCHANGED
    assert box.receipt(receipt(60, chain_hash=b"x" * 32)).status == outbox.FORK
    assert box.receipt(receipt(60)).status == outbox.ADVANCED


def test_a_journal_is_divided_when_the_same_refusal_was_told_three_times_in_a_row():
    box = outbox.Outbox(DEVICE, TenBatches())
    for given, divided in (
            (receipt(110), False), (receipt(120), False), (receipt(120), False),
            (receipt(10), False),                       # one that fits ends the row
            (receipt(120), False), (receipt(120), False),
            (receipt(20, cabinet="other"), False),       # none of ours: no answer at all
            (receipt(120), True), (receipt(20), False)):
        box.receipt(given)
        assert box.divided == divided, given


class Counting(TenBatches):
    """Three hundred batches; counts how often one is looked at."""

    numbers, sealed_seq, looks = range(1, 301), 3000, 0

    def batch_info(self, number):
        self.looks += 1
        return 10 * number - 9, 10 * number, number.to_bytes(32, "big")


def test_of_hundreds_that_wait_only_a_few_are_looked_at():
    journal = Counting()
    box = outbox.Outbox(DEVICE, journal, window=2)
    for number in range(1, 301, 2):
        assert sent(box, 2) == [number, number + 1]
        chain_hash = (number + 1).to_bytes(32, "big")
        assert box.receipt(
            receipt(10 * number + 10, chain_hash=chain_hash)).status == outbox.ADVANCED
    assert box.waiting() == 0 and journal.looks < 8 * 300


def rounds(box, count):
    """Return what goes out in each of some rounds that no receipt answers."""
    found = []
    for number in range(1, count + 1):
        found.append(sent(box, 9))
        box.expire(1000 + outbox.RESEND_MS)
        assert box.under_way() == [], number
    return found


def test_the_same_batches_do_not_go_out_for_ever_while_others_wait():
    found = rounds(outbox.Outbox(DEVICE, TenBatches(), window=4), 6)
    assert found[:2] == [[1, 2, 3, 4]] * 2
    assert found[2:5] == [[1, 5, 6, 7], [1, 8, 9, 10], [1, 2, 3, 4]]
    assert {number for one in found for number in one} == set(range(1, 11))


def test_a_lost_link_does_not_begin_the_turns_again():
    box = outbox.Outbox(DEVICE, TenBatches(), window=4)
    rounds(box, 2)
    assert sent(box, 9) == [1, 5, 6, 7]
    box.session_lost()
    assert sent(box, 9) == [1, 5, 6, 7]


def test_a_fleet_that_is_back_is_offered_everything_from_the_oldest():
    box = outbox.Outbox(DEVICE, TenBatches(), window=4)
    rounds(box, 3)
    sent(box, 2)
    box.start_over()
    assert sent(box, 9) == [1, 2, 3, 4]


def test_a_batch_across_a_hole_goes_out_once_and_is_covered_by_its_own_end():
    journal = TenBatches()
    journal.numbers = [1, 2, 6, 7]                  # 3 to 5: one downsampled batch that ends at 60
    journal.first_number = lambda number: 3 if number == 6 else number
    journal.batch_info = lambda number: (
        21 if number == 6 else 10 * number - 9, 10 * number, bytes([number]) * 32)
    box = outbox.Outbox(DEVICE, journal)
    assert sent(box, 9) == [1, 2, 6, 7]
    assert box.left_out() == []
    assert box.receipt(receipt(20)).status == outbox.ADVANCED
    assert box.waits(6) and box.under_way() == [6, 7]
    assert box.receipt(receipt(60)).status == outbox.ADVANCED
    assert not box.waits(6) and box.under_way() == [7]


def test_a_receipt_that_says_less_than_the_newest_is_behind():
    box = outbox.Outbox(DEVICE, TenBatches())
    box.receipt(receipt(50, epoch=2))
    for less in (receipt(40, epoch=2), receipt(60, epoch=1), receipt(50, epoch=1)):
        assert box.behind(less)
    for other in (receipt(50, epoch=2), receipt(60, epoch=2), receipt(0, epoch=3),
                  receipt(40, epoch=2, cabinet="other"),
                  receipt(40, epoch=2, journal_id=b"K" * 16)):
        assert not box.behind(other)


def test_what_was_deleted_here_is_named_as_a_range_and_not_one_by_one():
    journal = TenBatches()
    journal.numbers, journal.acknowledged_seq, journal.epoch = [8, 9, 10], 80, 1
    box = outbox.Outbox(DEVICE, journal)
    assert box.receipt(receipt(0, epoch=2)).status == outbox.REWOUND
    assert box.deleted() == (1, 7) and box.left_out() == []
    assert sent(box, 9) == [8, 9, 10]
    journal.acknowledged_seq, journal.epoch = 0, 2
    assert outbox.Outbox(DEVICE, journal).left_out() == []
    box.receipt(receipt(80, epoch=2))
    assert box.deleted() is None


def test_what_flash_forgot_before_any_receipt_is_still_named_one_by_one():
    journal = TenBatches()
    journal.numbers = [3, 4]
    assert outbox.Outbox(DEVICE, journal).left_out() == [1, 2]


def test_a_batch_that_a_receipt_covers_is_not_left_out_whatever_its_file_says():
    journal = TenBatches()
    journal.acknowledged_seq, journal.corrupt = 40, (1, 2, 4, 6, 10)
    box = outbox.Outbox(DEVICE, journal)
    while box.next_batch() is not None:
        box.sent(box.next_batch(), 0)
    assert box.left_out() == [6, 10]


def test_what_is_rotten_up_to_the_last_is_covered_by_a_receipt_for_everything():
    journal = TenBatches()
    journal.acknowledged_seq, journal.corrupt = 100, (9, 10)
    box = outbox.Outbox(DEVICE, journal)
    assert (box.next_batch(), box.left_out(), box.waiting()) == (None, [], 0)


def test_batches_that_cannot_be_read_for_a_while_are_sent_when_they_can_be():
    journal = TenBatches()
    journal.unread = tuple(range(1, 10))            # 10 was sealed by this run: its info is in RAM
    box = outbox.Outbox(DEVICE, journal)
    assert sent(box, 3) == [10]
    assert box.waiting() == 10 and box.left_out() == list(range(1, 10))
    journal.unread = ()
    for now_ms in (2_000, 40_000):
        box.expire(now_ms)
    assert sent(box, 3) == [1, 2, 3]


def test_of_batches_that_cannot_be_read_those_are_covered_that_the_next_one_follows_on():
    journal = TenBatches()
    journal.acknowledged_seq, journal.unread = 50, (2, 3, 5, 8, 9, 10)
    box = outbox.Outbox(DEVICE, journal)
    assert sent(box, 9) == [6, 7]
    assert box.waiting() == 5                       # 6 to 10
    assert box.left_out() == [8, 9, 10]
