"""A host's energy split over its workloads: never more than was metered, nobody's part named."""

import pytest

from gateway.ledger.compute.compute import Gpu, Host, HostWorkload, host_split

HOUR_S = 3600


def total(split):
    """Return all Wh of a split."""
    return (sum(split.dynamic_wh.values()) + sum(split.idle_wh.values())
            + split.unattributed_dynamic_wh + split.unreserved_idle_wh)


@pytest.mark.parametrize("spread_idle", [False, True])
@pytest.mark.parametrize("energy_wh", [0.0, 20.0, 49.9, 50.0, 120.0])
def test_idle_energy_is_never_more_than_was_metered(energy_wh, spread_idle):
    """A node that was off for a part of the interval used less than its idle power says."""
    loads = {"a": HostWorkload(900.0, 2, HOUR_S), "b": HostWorkload(100.0, 1, HOUR_S)}
    split = host_split(Host(energy_wh, HOUR_S, 8, 50.0, loads), spread_idle)
    idle_wh = sum(split.idle_wh.values()) + split.unreserved_idle_wh
    assert idle_wh == pytest.approx(min(energy_wh, 50.0))
    assert all(wh >= 0 for wh in (*split.dynamic_wh.values(), *split.idle_wh.values()))
    assert total(split) == pytest.approx(energy_wh)


def test_a_gpus_idle_energy_is_never_more_than_it_used():
    split = host_split(Host(30.0, HOUR_S, 8, 20.0, {}, (Gpu(5.0, 25.0, {"a": 10.0}, {"a": 900}),)))
    assert split.dynamic_wh == {"a": 0} and split.idle_wh == {"a": pytest.approx(5 / 4)}
    assert total(split) == pytest.approx(30.0)


def test_dynamic_energy_follows_cpu_time_and_idle_energy_what_is_reserved():
    loads = {"busy": HostWorkload(900.0, 1, HOUR_S), "idle": HostWorkload(100.0, 3, HOUR_S)}
    split = host_split(Host(150.0, HOUR_S, 8, 80.0, loads))
    assert split.dynamic_wh == {"busy": pytest.approx(63.0), "idle": pytest.approx(7.0)}
    assert split.idle_wh == {"busy": pytest.approx(10.0), "idle": pytest.approx(30.0)}
    assert (split.unattributed_dynamic_wh, split.unreserved_idle_wh) == (0, pytest.approx(40.0))


def test_more_cores_reserved_than_there_are_share_the_idle_energy():
    loads = {"a": HostWorkload(1.0, 6, HOUR_S), "b": HostWorkload(1.0, 6, HOUR_S)}
    split = host_split(Host(50.0, HOUR_S, 8, 50.0, loads))
    assert split.idle_wh == {"a": pytest.approx(25.0), "b": pytest.approx(25.0)}
    assert split.unreserved_idle_wh == 0 and total(split) == pytest.approx(50.0)


def test_what_nobody_used_is_nobodys():
    split = host_split(Host(90.0, HOUR_S, 8, 50.0, {"a": HostWorkload(0.0, 2, HOUR_S)}))
    assert (split.dynamic_wh, split.unattributed_dynamic_wh) == ({"a": 0}, 40.0)
    assert split.idle_wh == {"a": 12.5} and split.unreserved_idle_wh == 37.5
