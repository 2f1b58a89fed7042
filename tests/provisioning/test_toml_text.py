"""The TOML that provisioning writes says what it was given, whatever the text."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ConfigError
from provisioning.toml_text import document

# The file of a site made before tomli-w wrote it, and the tables it was made from.
FORMER = r'''# Cabinet of one site.

[site]
id = "shop"
name = "Bäckerei \"Süd\" \\ 店\n\t\u0001"
timezone = "Europe/Berlin"
cabinet = "shop-1"

[journal]
interval_s = 10
keep_mib = 256

[clock]
speed = 60.5
"is real" = false

[[bus]]
name = "rtu-1"
baud = 9600

[[device]]
name = "node"
bus = "rtu-1"
workloads = ["pos", "cam=1"]
options = {ct_ratio = 40, x = 1e+22}

[[device]]
name = "b"
'''
TABLES = [
    ("site", {"id": "shop", "name": 'Bäckerei "Süd" \\ 店\n\t\x01', "timezone": "Europe/Berlin",
              "cabinet": "shop-1"}),
    ("journal", {"interval_s": 10, "keep_mib": 256}),
    ("empty", {}),
    ("clock", {"speed": 60.5, "is real": False, "none": None}),
    ("bus", [{"name": "rtu-1", "baud": 9600}]),
    ("device", [{"name": "node", "bus": "rtu-1", "workloads": ["pos", "cam=1"],
                 "options": {"ct_ratio": 40, "x": 1e22}}, {"name": "b"}]),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.booleans() | st.integers(-2**63, 2**63 - 1) | TEXT | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6)
ROWS = st.dictionaries(TEXT, VALUES, min_size=1, max_size=4)


def test_a_site_gets_the_file_it_got_before_in_meaning():
    assert tomllib.loads(document("Cabinet of one site.", TABLES)) == tomllib.loads(FORMER)


@given(ROWS, st.lists(ROWS, min_size=1, max_size=3))
def test_what_is_written_parses_to_equal_tables(table, rows):
    text = document("title", [("site", table), ("device", rows)])
    assert tomllib.loads(text) == {"site": table, "device": rows}


def test_every_row_of_a_list_has_a_head_of_its_own_by_which_mistakes_are_placed():
    lines = document("title", TABLES).splitlines()
    assert lines[0] == "# title"
    assert [line for line in lines if line.startswith("[[")] == [
        "[[bus]]", "[[device]]", "[[device]]"]


def test_quotes_control_characters_and_other_scripts_come_back():
    text = 'a"b\'c\\d\x00\x1f\x7f\r\n\t"""\'\'\' äß店 \u2028 \U0001f600 # = [x]'
    assert tomllib.loads(document("t", [("site", {"name": text, text: 1})])) == {
        "site": {"name": text, text: 1}}


@pytest.mark.parametrize("value", ["\ud800", b"bytes", [None], object()])
def test_what_toml_cannot_say_is_refused_with_the_table(value):
    with pytest.raises(ConfigError, match=r"\[site\] cannot be written as TOML"):
        document("t", [("site", {"name": value})])
