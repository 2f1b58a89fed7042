"""Where the sun stands and how strong it shines on a clear day."""

from math import acos, asin, cos, exp, pi, radians, sin
from typing import NamedTuple

DAY_S = 86400


class Sun(NamedTuple):
    """Place of the sun.  sin_elevation: -1..1; azimuth_rad: from south, west positive."""

    sin_elevation: float
    azimuth_rad: float


def position(latitude_deg: float, longitude_deg: float, unix_s: float) -> Sun:
    """Return the sun's place in the sky.

    Declination: Cooper 1969; equation of time: Spencer 1971 (both within about 0.5 degrees,
    1 minute).  Hour angle from mean solar time at the longitude.
    """
    day = unix_s / DAY_S % 365.25
    angle = 2 * pi * day / 365.25
    declination = radians(23.45) * sin(2 * pi * (day + 284) / 365.25)
    equation_min = 229.18 * (0.000075 + 0.001868 * cos(angle) - 0.032077 * sin(angle)
                             - 0.014615 * cos(2 * angle) - 0.040849 * sin(2 * angle))
    solar_h = unix_s % DAY_S / 3600 + longitude_deg / 15 + equation_min / 60
    hour = radians(15 * (solar_h - 12))
    hour = (hour + pi) % (2 * pi) - pi
    latitude = radians(latitude_deg)
    height = sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour)
    elevation = asin(max(-1.0, min(1.0, height)))
    if abs(cos(elevation) * cos(latitude)) < 1e-9:
        return Sun(height, 0.0)
    bearing = (height * sin(latitude) - sin(declination)) / (cos(elevation) * cos(latitude))
    azimuth = acos(max(-1.0, min(1.0, bearing)))
    return Sun(height, azimuth if hour >= 0 else -azimuth)


def clear_sky_w_m2(sin_elevation: float) -> float:
    """Return global horizontal irradiance under a clear sky (Haurwitz 1945)."""
    if sin_elevation <= 0.01:
        return 0.0
    return 1098.0 * sin_elevation * exp(-0.057 / sin_elevation)


def clouded_w_m2(clear_w_m2: float, cover: float) -> float:
    """Return irradiance under a cloud cover of 0..1 (Kasten and Czeplak 1980)."""
    return clear_w_m2 * (1.0 - 0.75 * float(cover ** 3.4))


def on_plane_w_m2(global_w_m2: float, cover: float, sun: Sun, plane: tuple[float, float]) -> float:
    """Return irradiance on a tilted plane: a beam part by angle, the rest from all the sky.

    plane: (tilt_deg, azimuth_deg from south).  Diffuse share 0.2 in clear sky, 1 when
    overcast; the beam's gain by tilt is held below 3, where the low sun makes it diverge.
    """
    if global_w_m2 <= 0.0:
        return 0.0
    tilt, facing = radians(plane[0]), radians(plane[1])
    elevation_cos = cos(asin(sun.sin_elevation))
    incidence = (sun.sin_elevation * cos(tilt)
                 + elevation_cos * sin(tilt) * cos(sun.azimuth_rad - facing))
    diffuse = 0.2 + 0.8 * cover
    gain = min(max(incidence, 0.0) / sun.sin_elevation, 3.0)
    return global_w_m2 * ((1.0 - diffuse) * gain + diffuse * (1.0 + cos(tilt)) / 2)
