"""What a device would say from bytes at hand: for `python -m drivers decode` and tests.

Everything a profile knows, with all digits the device has, through the same drivers that poll.
"""


from drivers import driver, modbus, prometheus, pylontech, register_driver
from gateway.core.errors import BadFrame, ConfigError
from gateway.core.measurand import BY_ID
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from drivers.profile import Profile
    from drivers.types import Answer, Driver

# name: of the measurand.  value: a whole number of 10**exponent units, or an Absent, or (unit
# "" and exponent 0) a text or a list for what is no number.
Quantity = NamedTuple("Quantity", [
    ("name", str), ("value", "Any"), ("exponent", int), ("unit", str)])


def registers(profile: "Profile", words: "Mapping[int, int]") -> list[Quantity]:
    """Return the Quantities in a register image; words: {address: number}.

    Raises ConfigError if the profile is not one of registers, BadFrame if a SunSpec image has
    no chain of models.
    """
    if profile.protocol not in ("modbus", "sunspec"):
        raise ConfigError("%s has no registers; its protocol is %s" % (
            profile.stem, profile.protocol))
    device = driver.build(profile, driver.Setup(modbus.RtuReads(), everything=True))
    answer = register_driver.Image(words).answer
    out = []
    if profile.protocol == "sunspec":
        found = driver.run(device.identify(), answer)
        for name in ("manufacturer", "model", "version"):
            out.append(Quantity(name, found[name], 0, ""))
        out.append(Quantity("serial_number", found["serial"], 0, ""))
        chain = [list(pair) for pair in found["model_chain"]]
        out.append(Quantity("model_chain", chain, 0, ""))
    return out + _scan(device, answer)


def frame(profile: "Profile", characters: bytes, is_checked: bool = True) -> list[Quantity]:
    """Return the Quantities in an analog answer (0x42) of a Pylontech stack.

    characters: bytes from ~ to CR.  is_checked False: a wrong checksum is let pass, for
    documents whose printed examples are wrong; drivers never do that.  Raises BadFrame.
    """
    if not is_checked:
        body = characters[1:-5]
        characters = b"~" + body + b"%04X" % pylontech.checksum(body) + b"\r"
    _, code, info = pylontech.decode_frame(characters)
    if code:
        raise BadFrame("the stack answered with return code %d" % code)
    _, modules = pylontech.analog(info)
    given = pylontech.stack(modules)
    out = []
    for point in profile.points:
        if point.measurand == "modules":
            continue
        row = [m for m in BY_ID.values() if m.name == point.measurand][0]
        value = pylontech.whole(given[point.measurand], register_driver.EVERYTHING_EXPONENT)
        shown = register_driver.checked(value, row.name, register_driver.EVERYTHING_EXPONENT)
        out.append(Quantity(row.name, shown, register_driver.EVERYTHING_EXPONENT, row.unit))
    power = sum([m.voltage * m.current for m in modules])
    out.append(Quantity("battery_power", power, -4, "W"))
    soc = [q for q in out if q.name == "state_of_charge"][0]
    out.append(Quantity("soc", soc.value, soc.exponent, soc.unit))
    out.append(Quantity("module_count", len(modules), 0, "1"))
    out.append(Quantity("modules", list(modules), 0, ""))
    return out


def text(profile: "Profile", body: bytes, workloads: "Iterable[str]") -> list[Quantity]:
    """Return the Quantities in a Prometheus text; those of a workload are named name/workload.

    Raises BadFrame.
    """
    setup = driver.Setup(prometheus.Gets("file", "/"), workloads=workloads, everything=True)
    prometheus.parse(body, ())                  # a bad line is an error here, not a reason
    return _scan(driver.build(profile, setup), lambda question: body)


def _scan(device: "Driver", answer: "Answer") -> list[Quantity]:
    out = []
    for point, value in zip(device.points, driver.run(device.poll(), answer)):
        row = BY_ID[point.measurand]
        name = "%s/%s" % (row.name, point.item) if point.item else row.name
        out.append(Quantity(name, value, point.exponent, row.unit))
    return out
