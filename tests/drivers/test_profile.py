"""Profiles: every mistake names its place, its value and what is allowed."""

from drivers import profile
from gateway.core.errors import ConfigError


def table():
    """Return a profile that is right."""
    return {
        "manufacturer": "M", "model": "X", "kind": "meter", "protocol": "modbus",
        "maturity": "simulated", "sources": {"doc": "a document"},
        "transport": {"buses": ["modbus-rtu"], "source": ["doc"]},
        "reading": {"function": 4, "registers_max": 80, "step": 2, "source": ["doc"]},
        "point": [{"measurand": "frequency", "address": 70, "format": "float32",
                   "source": ["doc"]}],
    }


def told(change):
    """Return the message about a profile after change(table)."""
    wrong = table()
    change(wrong)
    try:
        profile.make("meter", wrong)
    except ConfigError as error:
        return str(error)
    raise AssertionError("accepted")


def test_a_right_profile_has_points_limits_and_sources():
    made = profile.make("meter", table())
    assert made.points[0] == profile.RegisterPoint(
        "frequency", 4, 70, "float32", 0, (), "commission", ("doc",))
    assert made.limits.registers_max == 80 and made.transport.baud == 9600


def test_mistakes_at_the_top_are_named():
    assert "protocol = mdbus is not known; allowed: modbus" in told(
        lambda t: t.update(protocol="mdbus"))
    assert "model is missing" in told(lambda t: t.pop("model"))
    assert "unknown key colour; allowed: identity" in told(lambda t: t.update(colour="red"))
    assert "maturity = sure" in told(lambda t: t.update(maturity="sure"))
    assert "notes has the wrong type" in told(lambda t: t.update(notes="x"))


def test_mistakes_in_a_point_name_the_point():
    def point(**change):
        return told(lambda t: t["point"][0].update(change))
    assert "[[point]] 1: measurand = warmth" in point(measurand="warmth")
    assert "[[point]] 1: format = float31" in point(format="float31")
    assert "source = hearsay" in point(source=["hearsay"])
    assert "source is empty" in point(source=[])
    assert "exponent = 99; allowed is -12..12" in point(exponent=99)
    assert "multiples of 2" in point(address=71)
    assert "function = 6" in point(function=6)
    assert "unknown key scale" in point(scale=1)
    assert "wrong type" in point(address="70")
    assert "wrong type" in point(address=True)


def test_limits_have_bounds():
    assert "registers_max = 126" in told(lambda t: t["reading"].update(registers_max=126))
    assert "step = 0" in told(lambda t: t["reading"].update(step=0))
    assert "parity" in told(lambda t: t["transport"].update(parity="X"))
    assert "expected a table" in told(lambda t: t.update(point=[3]))
