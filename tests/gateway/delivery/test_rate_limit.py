"""Shares of a capped link, by hand: bytes over time, in virtual seconds."""

import pytest

from gateway.delivery.rate_limit import (
    BACKLOG,
    FRESH,
    LIVE,
    OVERHEAD_BYTES,
    RESEND_MS_MAX,
    Pace,
    Silence,
    choose,
)

CAP_KBIT_S = 64
CAP_BYTES_S = 8_000


def transmit(pace, seconds, sizes):
    """Let every lane of sizes send whenever it may; return {lane: [(moment, bytes)]}."""
    sent = {lane: [] for lane in sizes}
    for tick in range(seconds * 20):
        now_s = tick / 20
        for lane, size in sizes.items():
            if pace.wait_s(lane, now_s) <= 0:
                pace.consume(lane, size - OVERHEAD_BYTES, now_s)
                sent[lane].append((now_s, size))
    return sent


def total(sent):
    """Return the bytes of a lane."""
    return sum(size for _, size in sent)


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_the_cap_holds_and_the_backlog_gets_its_share_and_no_more(percent):
    pace = Pace(CAP_KBIT_S, percent, 0.0)
    sent = transmit(pace, 600, {LIVE: 2_000, BACKLOG: 40_000})
    whole = CAP_BYTES_S * 600
    assert total(sent[LIVE]) + total(sent[BACKLOG]) <= whole * 1.02 + 40_000
    assert total(sent[BACKLOG]) == pytest.approx(whole * percent / 100, abs=0.03 * whole)


def test_a_fresh_batch_may_use_what_is_left_of_the_whole():
    alone = transmit(Pace(CAP_KBIT_S, 50, 0.0), 600, {FRESH: 40_000})
    assert total(alone[FRESH]) == pytest.approx(CAP_BYTES_S * 600, rel=0.02)


def test_live_messages_stay_young_while_a_month_of_backlog_drains():
    pace, now_s, left = Pace(CAP_KBIT_S, 50, 0.0), 0.0, 16_600_000
    live_s, worst_s = 0.0, 0.0
    while left > 0:
        if pace.wait_s(BACKLOG, now_s) <= 0:
            pace.consume(BACKLOG, 40_000, now_s)
            left -= 40_000
            now_s += 40_000 / CAP_BYTES_S           # the line itself is not faster
        if now_s - live_s >= 5 and pace.wait_s(LIVE, now_s) <= 0:
            pace.consume(LIVE, 2_000, now_s)
            worst_s, live_s = max(worst_s, now_s - live_s), now_s
        now_s += 0.1
    assert worst_s <= 60                            # the target; really about two messages
    assert now_s <= 1.25 * 16_600_000 / (CAP_BYTES_S / 2) + 120 <= 7_200


def test_live_messages_too_large_for_their_share_come_less_often_but_come():
    pace = Pace(8, 50, 0.0)                         # 500 bytes a second for live
    sent = transmit(pace, 300, {LIVE: 2_500, BACKLOG: 30_000})
    gaps = [later[0] - before[0] for before, later in
            zip(sent[LIVE], sent[LIVE][1:], strict=False)]
    assert max(gaps) <= 5.2


def test_without_a_cap_nothing_waits():
    pace = Pace(0, 50, 0.0)
    for lane in (LIVE, FRESH, BACKLOG):
        pace.consume(lane, 1 << 20, 0.0)
        assert pace.wait_s(lane, 0.0) == 0


def test_with_a_backlog_the_newest_batch_goes_once_before_its_turn():
    numbers = list(range(1, 101))
    assert choose(numbers, 1, 0, 4) == (FRESH, 100)
    assert choose(numbers, 1, 100, 4) == (BACKLOG, 1)
    assert choose([*numbers, 101], 2, 100, 4) == (FRESH, 101)
    assert choose(numbers, 97, 0, 4) == (FRESH, 97)         # no backlog: in order


def test_silence_is_borne_ever_more_patiently_and_told_after_three_rounds():
    silence, waits = Silence(8_000), []
    for _ in range(12):
        assert silence.unanswered == (len(waits) >= 3)
        waits.append(8_000 + silence.extra_ms)
        silence.overdue([1, 2])
    assert waits[:4] == [8_000, 16_000, 32_000, 64_000] and waits[-1] == RESEND_MS_MAX
    silence.answered()
    assert (silence.extra_ms, silence.unanswered) == (0, False)


def test_a_fleet_that_waits_for_one_batch_is_brought_all_others_before_patience_grows():
    silence = Silence(8_000)
    for number in range(0, 4000, 4):                # four at a time, the oldest again and again
        silence.responded(number + 1)
        silence.overdue([1, number + 2, number + 3, number + 4])
        assert (silence.extra_ms, silence.unanswered) == (0, False)
    for round_number in range(1, 4):                # everything went out once: again is in vain
        silence.responded(5000 + round_number)
        silence.overdue([1, 2, 3, 4])
        assert silence.extra_ms == 8_000 * (2 ** round_number - 1)
    assert silence.unanswered


def test_an_old_receipt_that_comes_again_and_again_is_no_answer():
    silence = Silence(8_000)
    for number in range(3):
        silence.responded(1000)
        silence.overdue([number])
    assert silence.extra_ms == 8_000 * 3            # the first one was new


def test_after_the_mark_moved_batches_are_new_again():
    silence = Silence(8_000)
    silence.overdue([1, 2])
    silence.answered()
    silence.responded(1)
    silence.overdue([1, 2])
    assert silence.extra_ms == 0
