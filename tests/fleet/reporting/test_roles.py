"""Each energy role of the table has its words in the catalogue and its colour on the page."""

import re
import tomllib
from pathlib import Path

import pytest

from fleet.reporting.report_charts import LOADS, SOURCES
from gateway.core import roles

FLEET = Path(__file__).resolve().parents[3] / "fleet"
TEXTS = tomllib.loads((FLEET / "texts_en.toml").read_text(encoding="utf-8"))
CSS = (FLEET / "web" / "assets" / "charts.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("energy", roles.ENERGIES, ids=roles.ENERGY_NAMES)
def test_an_energy_has_a_name_a_legend_and_a_colour_in_both_themes(energy):
    assert TEXTS["energy"][energy.name] and TEXTS["role"][energy.mark]
    assert len(re.findall(rf"--{energy.mark}: #[0-9a-f]{{6}};", CSS)) == 2
    for mark in ("fill", "swatch"):
        assert f".{mark}.{energy.mark} {{" in CSS


def test_the_charts_show_each_energy_once():
    assert sorted(name for name, _ in (*SOURCES, *LOADS)) == sorted(roles.ENERGY_NAMES)
