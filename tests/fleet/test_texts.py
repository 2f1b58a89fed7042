"""The catalogue of texts: every id that is asked for is there, and none that nobody asks for."""

import re
from pathlib import Path

import pytest

from fleet.texts import Texts, say

FLEET = Path(__file__).resolve().parents[2] / "fleet"
# Groups whose ids come from a state, a role or a code of ours.
BY_CODE = ("age", "carbon", "clock_source", "compute", "day", "device_reason", "energy", "incident",
           "incident_next", "journal_state", "method", "proof.refused", "role", "state",
           "chart", "tile", "why")


def asked():
    """Return the ids that stand in code and templates as they are."""
    files = [*FLEET.rglob("*.py"), *FLEET.rglob("*.html")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    groups = {row.split(".")[0] for row in say.rows}
    return {key for key in re.findall(r"""["']([a-z_]+(?:\.[a-z_-]+)+)["']""", text)
            if key.split(".")[0] in groups and not key.endswith((".html", ".css", ".org"))}


def titles():
    """Return the titles of the lines of evidence, whose ids are put together."""
    return {key for key in say.rows if re.fullmatch(r"proof\.[a-z]+\.title", key)}


def test_each_text_that_is_asked_for_exists():
    assert {key for key in asked() if key not in say.rows} == set()
    assert len(asked()) > 100


def test_no_text_lies_in_the_catalogue_unused():
    free = {key for key in say.rows if not key.startswith(tuple(f"{one}." for one in BY_CODE))}
    assert free - asked() - titles() - {"report.factors_estimated", "report.factors_published"} \
        == set()


@pytest.mark.parametrize(("number", "text"), [
    (0, "All 0 devices give values"), (1, "The only device gives values"),
    (1234, "All 1\u202f234 devices give values")])
def test_a_text_with_a_count_has_the_plural_form_of_its_language(number, text):
    assert say.plural("devices.all", number) == text


def test_an_unknown_text_and_a_missing_value_are_errors_and_an_unknown_code_is_itself():
    for ask in (lambda: say("page.nothing"), lambda: say("report.title", site="x"),
                lambda: say("devices.all"), lambda: say.plural("page.sites", 2)):
        with pytest.raises(KeyError):
            ask()
    assert say.named("incident", "new-kind") == "new-kind"


def test_a_language_without_a_file_is_an_error():
    with pytest.raises(FileNotFoundError):
        Texts("xx")


def test_a_text_never_begins_or_ends_in_the_middle_of_a_sentence():
    """A fragment that code would have to put beside another one cannot be translated."""
    for key, row in say.rows.items():
        for text in row.values() if isinstance(row, dict) else [row]:
            if key.startswith("number."):       # signs
                continue
            assert text == text.strip(), key
            assert not re.search(r"^[,;:.]|[,;]$|\b(?:and|or|of|the|to|at)$", text), key
            assert text.count("`") % 2 == 0, key
