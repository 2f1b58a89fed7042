"""The AC bus: what the grid must give, and voltage and frequency around it."""

from simulator.noise import smooth


def balance_w(sources_w: float, loads_w: float) -> float:
    """Return grid power, positive = import: Kirchhoff leaves it no choice."""
    return loads_w - sources_w


def frequency_hz(stream: int, t_s: float) -> float:
    """Return grid frequency: 50 Hz within +-30 mHz, as in normal operation in Europe."""
    return 50.0 + 0.06 * (smooth(stream, t_s, 37.0) - 0.5)


def voltage_v(nominal_v: float, import_w: float, flutter: float) -> float:
    """Return a phase voltage: drop of 0.1 ohm on a third of the power, +-2 V of flutter."""
    return nominal_v - 0.1 * import_w / 3.0 / nominal_v + 4.0 * (flutter - 0.5)
