"""A photovoltaic field and its inverter."""


def cell_c(air_c: float, irradiance_w_m2: float, noct_c: float) -> float:
    """Return cell temperature from the nominal operating cell temperature (IEC 61215)."""
    return air_c + (noct_c - 20.0) / 800.0 * irradiance_w_m2


def dc_w(peak_w: float, irradiance_w_m2: float, cell_temperature_c: float, per_k: float) -> float:
    """Return the field's power: peak power by light, less `per_k` of it per kelvin over 25."""
    power = peak_w * irradiance_w_m2 / 1000.0 * (1.0 + per_k * (cell_temperature_c - 25.0))
    return max(0.0, power)


def ac_w(dc: float, rated_w: float) -> float:
    """Return inverter output: losses 0.5 % of rating fixed, 1 % linear, 1.5 % quadratic.

    The loss polynomial is that of Schmidt and Sauer 1996.  Output stops at the rating and
    is never negative: the inverter sleeps at night.
    """
    if dc <= 0.0:
        return 0.0
    load = min(dc / rated_w, 1.1)
    loss = rated_w * (0.005 + 0.01 * load + 0.015 * load * load)
    return max(0.0, min(dc - loss, rated_w))
