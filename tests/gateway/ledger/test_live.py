"""Figures of the moment, worked by hand."""

import pytest

from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.live import LiveNode, live_figures

FACTORS = {"grid": 400.0, "pv": 0.0}
HELD = Inventory(5000.0, 500.0, {"pv": 4000.0, "grid": 1000.0}, 1, 0.8)
NODE = LiveNode("n1", 300.0, 32, 120.0, {"a": (6.0, 8.0), "b": (2.0, 16.0)})


def test_half_grid_half_pv():
    now = live_figures({"grid": 500.0, "pv": 500.0, "battery": 0.0, "it": 300.0,
                        "cooling": 700.0}, HELD, FACTORS, [NODE])
    assert now.grid_g_per_kwh == 400
    assert now.bus_g_per_kwh == pytest.approx(200)
    assert now.battery_g_per_kwh == pytest.approx(100)
    assert now.renewable_share_it == pytest.approx(0.5)
    assert now.residual_w == pytest.approx(0)
    # 180 W dynamic + 120 W x 24/32 reserved idle = 270 W, at 1000 W x 200 g/kWh / 300 W,
    # over 24 reserved cores
    assert now.core_hour_g == pytest.approx(0.270 * (200 / 0.3) / 24)


def test_the_battery_gives_its_own_mix():
    now = live_figures({"grid": 0.0, "battery": 800.0, "it": 800.0}, HELD, FACTORS)
    assert now.bus_g_per_kwh == pytest.approx(125)      # 100 g/kWh stored / 0.8
    assert now.renewable_share_it == pytest.approx(0.8)
    assert now.core_hour_g is None                      # no node, no core-hour


def test_charging_and_export_do_not_change_the_mix():
    now = live_figures({"grid": -400.0, "pv": 2000.0, "battery": -600.0, "it": 1000.0}, HELD,
                       FACTORS)
    assert now.bus_g_per_kwh == 0
    assert now.renewable_share_it == pytest.approx(1)


def test_what_is_not_read_is_unknown_not_zero():
    assert live_figures({"grid": None, "it": 300.0}, HELD, FACTORS).bus_g_per_kwh is None
    now = live_figures({"grid": 500.0, "it": 300.0, "cooling": None}, HELD, FACTORS, [NODE])
    assert now.residual_w is None
    assert now.bus_g_per_kwh == 400
    silent = LiveNode("n1", None, 32, 120.0, {"a": (1.0, 8.0)})
    assert live_figures({"grid": 500.0, "it": 300.0}, HELD, FACTORS, [silent]).core_hour_g is None
    now = live_figures({"grid": 500.0, "it": 300.0}, HELD, {"pv": 0.0})
    assert (now.grid_g_per_kwh, now.bus_g_per_kwh) == (None, None)
