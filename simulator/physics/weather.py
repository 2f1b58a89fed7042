"""Clouds, outdoor temperature and humidity: seeded, smooth, without memory."""

from math import cos, pi

from simulator.noise import smooth


def cloud_cover(stream: int, t_s: float, cloudiness: float) -> float:
    """Return cloud cover 0..1: fields of about an hour with gaps of about two minutes.

    cloudiness 0 is a clear day, 1 an overcast one.
    """
    field = smooth(stream, t_s, 3600.0)
    gap = smooth(stream + 1, t_s, 130.0)
    return max(0.0, min(1.0, cloudiness * 2.0 * (0.65 * field + 0.35 * gap)))


def outdoor_c(solar_hour: float, mean_c: float, swing_c: float, drift: float) -> float:
    """Return outdoor temperature: a daily wave with its top at 15 h, plus drift in kelvin."""
    return mean_c + swing_c * cos(2 * pi * (solar_hour - 15.0) / 24.0) + drift


def room_c(outside_c: float) -> float:
    """Return the shop room's temperature: kept near 21, following the weather a little."""
    return 21.0 + 0.2 * (outside_c - 15.0)


def humidity_percent(base_percent: float, temperature_c: float) -> float:
    """Return relative humidity of a room's air warmed to a temperature.

    Same water content, so it falls by about 6 % of itself per kelvin above 20 (Magnus
    formula, linearised near room temperature).
    """
    return max(5.0, min(95.0, base_percent * (1.0 - 0.04 * (temperature_c - 20.0))))
