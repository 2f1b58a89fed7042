"""Light by opening hours."""


def lighting_w(open_w: float, night_w: float, hours: tuple[float, float], local_h: float) -> float:
    """Return lighting power: full while open and half an hour around it, else night light."""
    return open_w if hours[0] - 0.5 <= local_h < hours[1] + 0.5 else night_w
