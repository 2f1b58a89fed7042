"""Whatever a file says, the check answers with mistakes, never with a traceback."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.aio.toml_check import line_index
from gateway.config import load as config
from tests.support.cabinet_folder import EXAMPLE, FakeCatalogue, make_folder

LINES = EXAMPLE.read_text().splitlines()
VALUES = st.sampled_from([
    "true", "-1", "0", "1e400", "nan", "[]", "{}", '""', '"x"', "[1, 2]", '["a", "a"]', "99999999",
    "2026-06-01T00:00:00Z", '"2026-06-01T00:00:00Z"', '"\\u0000"', "0.5", "{ a = 1 }", "inf"])
KEYS = [number for number, line in enumerate(LINES) if "=" in line]


def checked(text):
    """Return the mistakes of a text."""
    with tempfile.TemporaryDirectory() as folder:
        return config.check(make_folder(Path(folder), text), FakeCatalogue())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=4))
def test_any_value_in_any_place_is_judged_with_a_line(changes):
    lines = list(LINES)
    for number, value in changes:
        lines[number] = lines[number].split("=")[0] + "= " + value
    for line, text in checked("\n".join(lines)):
        assert text and 0 <= line <= len(lines) + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(range(len(LINES))), min_size=1, max_size=20, unique=True))
def test_any_missing_lines_are_judged(gone):
    left = [line for number, line in enumerate(LINES) if number not in gone]
    found = checked("\n".join(left))
    assert all(text and 0 <= line <= len(left) for line, text in found)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet='[]="#\n abc.1\'', max_size=80))
def test_any_text_is_judged_and_indexed(text):
    assert checked(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in line_index(text).values())
