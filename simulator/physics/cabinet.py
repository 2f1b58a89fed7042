"""The cabinet as one heat capacity with a cooling unit."""

from typing import NamedTuple


class Enclosure(NamedTuple):
    """heat_capacity_j_k: equipment and air; loss_w_k: through the walls; band_k: control."""

    heat_capacity_j_k: float
    loss_w_k: float
    setpoint_c: float
    band_k: float
    cooling_max_w: float
    fan_w: float


def cooling_heat_w(cabinet: Enclosure, inside_c: float) -> float:
    """Return heat moved out: proportional from the set point over the control band."""
    share = (inside_c - cabinet.setpoint_c) / cabinet.band_k
    return cabinet.cooling_max_w * max(0.0, min(1.0, share))


def performance(inside_c: float, outside_c: float) -> float:
    """Return the coefficient of performance: 40 % of Carnot with 20 K across both coils."""
    lift_k = max(10.0, outside_c - inside_c + 30.0)
    return max(1.5, min(6.0, 0.4 * (inside_c + 273.15) / lift_k))


def cooling_w(cabinet: Enclosure, heat: float, coefficient: float) -> float:
    """Return electric power of the cooling unit: compressor plus its fan, always on."""
    return heat / coefficient + cabinet.fan_w


def inside_after_c(cabinet: Enclosure, inside_c: float, room_c: float, net_heat_w: float,
                   dt_s: float) -> float:
    """Return inside temperature after dt_s of net heat (sources less cooling)."""
    flow_w = net_heat_w - cabinet.loss_w_k * (inside_c - room_c)
    return inside_c + flow_w * dt_s / cabinet.heat_capacity_j_k
