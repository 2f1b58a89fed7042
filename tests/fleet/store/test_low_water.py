"""The rule behind every receipt: how far a journal is stored without a hole."""

import pytest

from fleet.formats.values import Neighbour
from fleet.store import low_water
from gateway.core.evidence import chain

JOURNAL = bytes(16)
START = chain.start("shop-1", JOURNAL)


def batch(number, **changes):
    """Return batch `number` of a journal with ten records in each, linked to the one before."""
    prev = bytes([number - 1]) * 32 if number > 1 else START
    return Neighbour(number, number * 10 - 9, number * 10, prev, bytes([number]) * 32
                     )._replace(**changes)


def mark(*batches, lost=(), since=None):
    """Return the mark over some stored batches."""
    stored = {one.number: one for one in batches}
    return low_water.advanced(since or low_water.beginning("shop-1", JOURNAL), stored.get,
                              lambda number: number if number in lost else 0)


def test_nothing_stored_is_nothing_promised():
    assert mark() == (0, START, 0)


def test_the_mark_moves_to_the_last_of_what_follows():
    assert mark(*map(batch, (1, 2, 3))) == (30, bytes([3]) * 32, 3)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_the_mark_stops_before_a_missing_batch(missing):
    found = mark(*[batch(number) for number in (1, 2, 3, 4) if number != missing])
    assert (found.low_water, found.number) == ((missing - 1) * 10, missing - 1)


def test_the_mark_goes_on_from_where_it_stood():
    assert mark(batch(3), since=mark(batch(1), batch(2))).low_water == 30


def test_a_hole_in_the_sequence_is_no_hole_in_the_chain():
    assert mark(batch(1), batch(2, first_seq=500, last_seq=510)).low_water == 510


def test_the_mark_stops_before_a_batch_that_names_another_predecessor():
    assert mark(batch(1), batch(2, prev=bytes(32)), batch(3)).number == 1


def test_a_journal_begins_with_a_batch_that_names_its_start():
    assert mark(batch(1, prev=bytes(32))).low_water == 0


@pytest.mark.parametrize("lost", [(2,), (2, 3)])
def test_what_the_device_declared_lost_is_passed_once_something_follows(lost):
    assert mark(batch(1), lost=lost) == (10, bytes([1]) * 32, 1)
    after = batch(lost[-1] + 1)
    assert mark(batch(1), after, lost=lost) == (after.last_seq, after.chain_hash, after.number)


def test_a_batch_that_came_although_it_was_declared_lost_must_fit_like_any_other():
    assert mark(batch(1), batch(2, prev=bytes(32)), batch(3), lost=(2,)).number == 1


def test_behind_a_lost_batch_the_chain_is_compared_again():
    assert mark(batch(1), batch(3), batch(4, prev=bytes(32)), lost=(2,)).number == 3
