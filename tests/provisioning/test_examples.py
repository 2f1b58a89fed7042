"""Every configuration that the repository shows makes a cabinet that `gateway check` accepts."""

import json
from pathlib import Path

import pytest

from provisioning import create, parts
from simulator.clock import ScaledClock
from simulator.endpoints import endpoints
from simulator.scenario import FOLDER, load
from tests.support.cabinets import NOW

EXAMPLES = Path(__file__).resolve().parents[2] / "docs"
SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.toml"))


def places_of(scenario, folder):
    """Return a place for each bus, as `simulator serve` gives them."""
    return {bus.name: str(folder / bus.name) if bus.transport == "serial" else 20_000 + index
            for index, bus in enumerate(scenario.buses)}


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.example.toml")), ids=lambda p: p.name)
def test_every_example_of_parts_makes_a_cabinet(tmp_path, example):
    made = create.site(parts.load(example), tmp_path / "site", NOW)
    assert tmp_path / "site/cabinet.toml" in made


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_makes_a_cabinet(tmp_path, name):
    scenario = load(name)
    clock = ScaledClock(scenario.origin_utc_ms, 60)
    table = endpoints(scenario, clock, places_of(scenario, tmp_path), tmp_path / "truth.jsonl")
    (tmp_path / "endpoints.json").write_text(json.dumps(table))
    made = create.site(parts.load(tmp_path / "endpoints.json"), tmp_path / "site", NOW)
    assert tmp_path / "site/cabinet.toml" in made


def test_there_are_examples_and_scenarios():
    assert "shop" in SCENARIOS and list(EXAMPLES.glob("*.example.toml"))
