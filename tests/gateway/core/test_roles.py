"""The table of energy roles, as every report and figure relies on it."""

from gateway.core import measurand, roles


def test_each_energy_belongs_to_a_role_and_counts_known_measurands():
    known = [row.name for row in measurand.BY_ID.values() if row.kind == measurand.COUNTER]
    for energy in roles.ENERGIES:
        assert energy.role in roles.ROLE_NAMES
        assert energy.counters and all([name in known for name in energy.counters])


def test_each_role_has_an_energy_and_no_name_stands_twice():
    for role in roles.ROLE_NAMES:
        assert [energy for energy in roles.ENERGIES if energy.role == role]
    assert len(set(roles.ENERGY_NAMES)) == len(roles.ENERGIES)
    assert len(set([energy.mark for energy in roles.ENERGIES])) == len(roles.ENERGIES)


def test_the_bus_is_fed_and_emptied_by_the_flows_in_their_order():
    assert [energy.flow for energy in roles.SUPPLIES] == ["grid", "pv", "genset", "battery"]
    assert [energy.flow for energy in roles.SINKS] == [
        "it", "cooling", "lighting", "other", "battery", "export"]
    assert roles.NOT_LOADS == ("battery", "export")


def test_power_is_positive_for_import_discharge_generation_and_load():
    assert roles.power_of("grid", 5) == 5 and roles.power_of("grid", -5) == -5
    assert roles.power_of("battery", 5) == -5
    assert roles.power_of("pv", -5) == 5 and roles.power_of("genset", 5) == 5
    assert roles.power_of("it", 5) == 5
