"""The clock: scaled and real time, and never a claim beyond what is known."""

import asyncio

import pytest

from gateway.core.reading import (
    CLOCK_GNSS,
    CLOCK_NTP,
    CLOCK_RTC,
    CLOCK_SIMULATED,
    CLOCK_UNKNOWN,
)
from gateway.timekeeping.clock import BUILD_FLOOR_MS, Clock, Scale, Sources, declared, rfc3339
from tests.support.fake_bus import ORIGIN_S, virtual_clock
from tests.support.virtual_time import run


class Hands:
    """Wall, monotonic and knowledge that a test moves by hand."""

    def __init__(self, wall_s=ORIGIN_S, knowledge=(CLOCK_NTP, 20)):
        self.wall_s, self.mono_s, self.knowledge = wall_s, 100.0, knowledge

    def clock(self, scale=None, floor_ms=0):
        """Return a clock on these hands."""
        return Clock(scale, Sources(lambda: self.wall_s, lambda: self.mono_s,
                                    lambda: self.knowledge), floor_ms)

    def pass_s(self, seconds, wall_s=None):
        """Let time pass; the wall may move otherwise."""
        self.mono_s += seconds
        self.wall_s += seconds if wall_s is None else wall_s


def test_ticks_start_at_zero_and_map_to_utc():
    hands = Hands()
    clock = hands.clock()
    assert clock.ticks_ms() == 0
    hands.pass_s(12.5)
    assert clock.ticks_ms() == 12_500
    assert clock.utc_ms() == ORIGIN_S * 1000 + 12_500
    state = clock.state()
    assert (state.source, state.uncertainty_ms) == (CLOCK_NTP, 50)     # twice 20, next step up


def test_a_simulated_clock_continues_where_its_world_is_after_a_restart():
    hands = Hands()
    scale = Scale(60, 1_000_000_000_000, int(hands.wall_s * 1000))
    hands.pass_s(10)
    clock = hands.clock(scale)
    assert clock.ticks_ms() == 0
    assert clock.utc_ms() == 1_000_000_600_000
    hands.pass_s(1)
    assert (clock.ticks_ms(), clock.utc_ms()) == (60_000, 1_000_000_660_000)
    assert clock.state().source == CLOCK_SIMULATED
    assert clock.state().uncertainty_ms == 3000
    assert clock.seconds(60) == 1.0


def test_scaled_sleep_is_shorter_in_real_time():
    async def go():
        clock = virtual_clock(speed=60)
        await clock.sleep(120)
        return asyncio.get_running_loop().time()
    assert run(go()) == pytest.approx(2.0)


@pytest.mark.parametrize("step_s", [-3600.0, -1.0, 1.0, 86_400.0])
def test_a_step_of_the_wall_clock_gives_a_new_state_once(step_s):
    hands = Hands()
    clock = hands.clock()
    hands.pass_s(5)
    assert clock.observe() is None
    hands.pass_s(1, wall_s=1 + step_s)
    state = clock.observe()
    assert state is not None
    assert clock.utc_ms() == pytest.approx(hands.wall_s * 1000, abs=1)
    assert clock.observe() is None


def test_the_declared_uncertainty_always_covers_the_true_bound_and_the_drift():
    hands = Hands()
    clock = hands.clock()
    for bound_ms in (20, 24, 26, 60, 300, 20):
        hands.knowledge = (CLOCK_NTP, bound_ms)
        hands.pass_s(60, wall_s=60.004)         # the ticks' crystal is 67 ppm slow
        clock.observe()
        error_ms = abs(clock.utc_ms() - hands.wall_s * 1000)
        assert error_ms + bound_ms <= clock.state().uncertainty_ms


def test_a_lost_source_is_told_and_an_unset_clock_claims_nothing():
    hands = Hands()
    clock = hands.clock()
    hands.knowledge = (CLOCK_RTC, 631_000)
    assert clock.observe().source == CLOCK_RTC
    unset = Hands(wall_s=BUILD_FLOOR_MS / 1000 - 1).clock()
    assert unset.state().source == CLOCK_UNKNOWN


YEAR_S = 31_557_600


@pytest.mark.parametrize("wall_s", [0.0, 86_400.0, BUILD_FLOOR_MS / 1000 - 1, 4_070_908_800.0])
def test_a_wall_of_1970_or_2099_says_unknown_whatever_its_source_claims(wall_s):
    for source in (CLOCK_RTC, CLOCK_NTP):
        clock = Hands(wall_s, (source, 20)).clock()
        assert (clock.state().source, clock.state().uncertainty_ms) == (CLOCK_UNKNOWN, 0)
        assert clock.certificate_floor_ms() == BUILD_FLOOR_MS


def test_an_unknown_time_becomes_known_by_one_new_state_and_ticks_never_jump():
    hands = Hands(wall_s=0.0, knowledge=(CLOCK_UNKNOWN, 0))
    clock = hands.clock()
    for _ in range(50):
        hands.pass_s(10, wall_s=10.1)               # an unset wall may run as it likes
        assert clock.observe() is None
    hands.wall_s, hands.knowledge = ORIGIN_S, (CLOCK_NTP, 20)
    state = clock.observe()
    assert (state.source, state.anchor_ticks_ms) == (CLOCK_NTP, 500_000)
    assert state.anchor_utc_ms == ORIGIN_S * 1000
    assert clock.certificate_floor_ms() is None


def test_when_the_source_is_lost_the_ticks_go_on_and_a_jumping_wall_is_not_believed():
    hands = Hands()
    clock = hands.clock()
    for lost_s, wall_jump_s in ((60, 0.0), (60, -3600.0), (60, 5 * YEAR_S), (60, -40 * YEAR_S)):
        hands.knowledge = (CLOCK_RTC, 631_000)
        hands.pass_s(lost_s, wall_s=lost_s + wall_jump_s)
        clock.observe()
        assert clock.state().source == CLOCK_RTC
    assert abs(clock.utc_ms() - (ORIGIN_S + 240) * 1000) <= clock.state().uncertainty_ms <= 1000


def test_seven_days_without_a_source_at_minus_forty_stay_within_what_is_declared():
    hands = Hands()
    clock = hands.clock()
    clock.temperature_c = lambda now_ms: -40.0
    true_s, states = float(ORIGIN_S), 0
    hands.knowledge = (CLOCK_RTC, 1)
    for _ in range(7 * 24 * 12):
        true_s += 300
        hands.pass_s(300 * (1 - 168e-6))            # 148 ppm by the cold, 20 ppm by tolerance
        states += clock.observe() is not None
        assert abs(clock.utc_ms() - true_s * 1000) <= clock.state().uncertainty_ms
    assert 101_000 < abs(clock.utc_ms() - true_s * 1000) < 102_000
    assert states <= 16                             # each costs one more batch
    hands.wall_s, hands.knowledge = true_s, (CLOCK_GNSS, 10)
    assert clock.observe().source == CLOCK_GNSS and clock.state().uncertainty_ms == 20


def test_the_last_known_good_time_holds_over_a_restart_and_only_rises():
    good_ms = (ORIGIN_S + YEAR_S) * 1000
    hands = Hands(wall_s=ORIGIN_S, knowledge=(CLOCK_RTC, 631_000))      # set back by a year
    clock = hands.clock(floor_ms=good_ms)
    assert clock.state().source == CLOCK_UNKNOWN
    assert clock.certificate_floor_ms() == good_ms
    assert clock.raise_floor(good_ms + 1000) and clock.raise_floor(5)
    assert clock.floor_ms == good_ms + 1000
    assert not clock.raise_floor(good_ms + 11 * YEAR_S * 1000)          # beyond any storage
    assert clock.floor_ms == good_ms + 1000


def test_a_synced_clock_does_not_let_a_signer_from_the_future_raise_the_floor():
    clock = Hands().clock()
    assert not clock.raise_floor(ORIGIN_S * 1000 + 2 * 86_400_000)
    assert clock.floor_ms == BUILD_FLOOR_MS


def test_a_simulated_world_leaves_certificates_to_the_machine():
    hands = Hands()
    assert hands.clock(Scale(60, 0, int(hands.wall_s * 1000))).certificate_floor_ms() is None


def test_declared_steps_cover_and_text_is_rfc_3339():
    assert [declared(ms) for ms in (0, 11, 1000, 1001, 10**9)] == [10, 20, 1000, 2000, 10**9]
    assert rfc3339(1_780_272_000_250) == "2026-06-01T00:00:00.250Z"


def test_a_source_that_comes_and_goes_makes_at_most_four_states_an_hour():
    hands = Hands()
    clock = hands.clock()
    changes = []
    for look in range(4 * 720):                         # four hours, each 5 s
        hands.pass_s(5)
        hands.knowledge = (CLOCK_NTP, 20) if look % 2 else (CLOCK_RTC, 36_000_000)
        if clock.observe() is not None:
            changes.append(clock.ticks_ms())
        assert abs(clock.utc_ms() - hands.wall_s * 1000) <= clock.state().uncertainty_ms
    assert 0 < max(sum(at <= one < at + 3_600_000 for one in changes) for at in changes) <= 4


def test_two_time_servers_that_disagree_make_at_most_four_states_an_hour():
    hands = Hands()
    clock = hands.clock()
    changes = []
    for look in range(2 * 720):
        hands.pass_s(5, wall_s=5 + (3.0 if look % 2 else -3.0))
        if clock.observe() is not None:
            changes.append(clock.ticks_ms())
    assert max(sum(at <= one < at + 3_600_000 for one in changes) for at in changes) <= 4
    assert abs(clock.utc_ms() - hands.wall_s * 1000) <= clock.state().uncertainty_ms
