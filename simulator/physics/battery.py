"""An AC-coupled LFP battery: what it may take or give, what it loses, how warm it gets.

Power is meant at the AC side of its inverter, positive = discharge (towards the bus).
"""

from typing import NamedTuple


class BatteryModel(NamedTuple):
    """Ratings.  capacity_wh: usable from 0 to 1 state of charge; etas: one way, AC to cell."""

    capacity_wh: float
    power_w: float
    eta_charge: float
    eta_discharge: float
    standby_w: float
    soc_min: float
    soc_max: float


def derating(temperature_c: float, charging: bool) -> float:
    """Return the allowed share of rated power 0..1 at a cell temperature.

    LFP must not be charged below 0 degC (lithium plating) and not be used above 55 degC;
    between 0 and 10 and between 45 and 55 the limit moves linearly.
    """
    low, high = (0.0, 55.0) if charging else (-20.0, 55.0)
    return max(0.0, min(1.0, (temperature_c - low) / 10.0, (high - temperature_c) / 10.0))


def allowed_w(battery: BatteryModel, stored_wh: float, temperature_c: float, wish_w: float,
              dt_s: float) -> float:
    """Return the power that the battery really runs at, given a wish (discharge positive).

    Limited by rating, temperature and the energy between here and the state-of-charge limits
    within dt_s.
    """
    hours = dt_s / 3600.0
    if wish_w > 0.0:
        floor_wh = battery.soc_min * battery.capacity_wh + battery.standby_w * hours
        room_w = max(0.0, stored_wh - floor_wh) * battery.eta_discharge / hours
        return min(wish_w, battery.power_w * derating(temperature_c, False), room_w)
    room_wh = max(0.0, battery.soc_max * battery.capacity_wh - stored_wh)
    room_w = room_wh / (battery.eta_charge * hours)
    return -min(-wish_w, battery.power_w * derating(temperature_c, True), room_w)


def stored_after_wh(battery: BatteryModel, stored_wh: float, power_w: float, dt_s: float) -> float:
    """Return stored energy after dt_s at an AC power; standby is drawn from the cells."""
    hours = dt_s / 3600.0
    if power_w > 0.0:
        inner_w = -power_w / battery.eta_discharge
    else:
        inner_w = -power_w * battery.eta_charge
    return max(0.0, stored_wh + (inner_w - battery.standby_w) * hours)


def heat_w(battery: BatteryModel, power_w: float) -> float:
    """Return the losses as heat at an AC power."""
    if power_w > 0.0:
        return power_w * (1.0 / battery.eta_discharge - 1.0) + battery.standby_w
    return -power_w * (1.0 - battery.eta_charge) + battery.standby_w


def temperature_after_c(temperature_c: float, room_c: float, heat: float, dt_s: float) -> float:
    """Return cell temperature: one heat capacity (100 kg at 1 kJ/kgK), 12 W/K to the room."""
    return temperature_c + (heat - 12.0 * (temperature_c - room_c)) * dt_s / 100_000.0


def wish_w(surplus_w: float) -> float:
    """Return what self-consumption asks: store a surplus, cover a deficit, rest within 30 W."""
    return 0.0 if abs(surplus_w) < 30.0 else -surplus_w
