"""One door each: the clock and the flash are touched in one file of a room, and nowhere else."""

import ast

from tests.house.source import fault

CLOCK_CALLS = {
    ("time", "time"), ("time", "time_ns"), ("time", "monotonic"), ("time", "monotonic_ns"),
    ("time", "perf_counter"), ("time", "clock_gettime"), ("datetime", "now"),
    ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}
FLASH_CALLS = {("os", "fsync"), ("os", "fdatasync"), ("os", "sync")}
# room or top folder -> the file that may ask what time it is; absent: time is an argument there.
CLOCK_DOORS = {
    "gateway": "gateway/timekeeping/clock.py",
    "gateway.micro": "gateway/micro/clock.py",      # boards have another clock
    "simulator": "simulator/clock.py",
    "fleet": "fleet/clock.py",
    "provisioning": "provisioning/clock.py",
}
FLASH_DOOR = "gateway/storage/store.py"
# Tests wait for events, never for time; the system tests watch real processes.
MAY_SLEEP = ("tests/system/", "tests/support/")


def check_one_door(source):
    """Yield a fault for every look at the clock, and every flash sync, beside its door."""
    names = _bound_names(source.tree)
    for node in ast.walk(source.tree):
        said = _qualified(node, names)
        if said is None:
            continue
        if source.room and said in CLOCK_CALLS:
            door = CLOCK_DOORS.get(source.room) or CLOCK_DOORS.get(source.path.split("/")[0])
            if source.path != door:
                where = door or "an argument: no clock in this room"
                yield fault(source, node, f"{said[0]}.{said[1]} belongs in {where}")
        if source.room and said in FLASH_CALLS and source.path != FLASH_DOOR:
            yield fault(source, node, f"{said[0]}.{said[1]} belongs in {FLASH_DOOR}")
        if not source.room and said == ("time", "sleep") and not source.path.startswith(MAY_SLEEP):
            yield fault(source, node, "a test does not sleep: pass a fake clock or await an event")


def _bound_names(tree):
    """Return local name -> what it stands for: ('time',), or ('time', 'monotonic')."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name] = (alias.name,)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = (node.module, alias.name)
    return names


def _qualified(node, names):
    """Return (module or class, attribute) for `time.time` and for a bare imported `time()`."""
    if isinstance(node, ast.Attribute):
        base = node.value
        if isinstance(base, ast.Name) and base.id in names:
            return (names[base.id][-1], node.attr)
        if isinstance(base, ast.Attribute):
            return (base.attr, node.attr)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        bound = names.get(node.id, ())
        return bound if len(bound) == 2 else None
    return None
