"""The table of measurands holds together; both interpreters."""

from gateway.core.measurand import BY_ID, BY_NAME, COUNTER, GAUGE, STATE, TABLE


def test_ids_and_names_are_unique():
    assert len(BY_ID) == len(TABLE) and len(BY_NAME) == len(TABLE)
    assert len({m.obis for m in TABLE if m.obis}) == len([m for m in TABLE if m.obis])


def test_ids_that_stand_in_signed_batches_have_not_moved():
    for number, name in ((1, "voltage_l1_n"), (14, "power_active_total"), (29, "frequency"),
                         (43, "energy_active_import_total"), (47, "energy_active_export_total"),
                         (79, "humidity"), (96, "state_of_charge"), (120, "cpu_time")):
        assert BY_ID[number].name == name and BY_NAME[name].id == number


def test_every_row_is_well_formed():
    for m in TABLE:
        assert m.kind in (GAUGE, COUNTER, STATE), m.name
        assert -9 <= m.fine <= m.exponent <= 9, m.name
        assert m.unit and m.name == m.name.lower() and " " not in m.name, m.name


def test_obis_codes_are_those_of_the_standard():
    # IEC 62056-6-1: 1-0:1.8.0 active import, 2.8.0 active export, 3.8.0 and 4.8.0 reactive
    for obis, name in (("1-0:1.8.0", "energy_active_import_total"),
                       ("1-0:2.8.0", "energy_active_export_total"),
                       ("1-0:3.8.0", "energy_reactive_import_total"),
                       ("1-0:4.8.0", "energy_reactive_export_total"),
                       ("1-0:16.7.0", "power_active_total"), ("1-0:14.7.0", "frequency")):
        assert BY_NAME[name].obis == obis
