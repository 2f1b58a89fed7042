"""Factor sets: pinned, looked up by UTC, never invented, never mixed."""

from decimal import Decimal

import pytest

from gateway.core.errors import ConfigError
from gateway.ledger.factors import factors

DE = "de-2024-direct-duck-1"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
JUNE = factors.utc_ms("2026-06-01T00:00:00Z")
SET = b"""
format = 1
id = "x"
version = 1
zone = "XX"
scope = "direct"
published = "2026-01-01"
[[source]]
name = "grid"
id = "a"
g_per_kwh = "350"
from = "2026-01-01T00:00:00Z"
to = "2026-06-01T00:05:00Z"
basis = "b"
estimated = false
status = "confirmed"
source = "s"
[[source]]
name = "grid"
id = "b"
g_per_kwh = "280"
from = "2026-06-01T00:05:00Z"
to = "2027-01-01T00:00:00Z"
basis = "b"
estimated = false
status = "confirmed"
source = "s"
"""


def test_the_german_set_averages_to_the_published_annual_figure_over_any_day():
    found = factors.load(DE)
    values = [found.at(JUNE + hour * HOUR_MS).g_per_kwh for hour in range(24)]
    assert sum(values) / 24 == pytest.approx(363, abs=1e-9)
    assert values[11] == pytest.approx(254.1)           # 363 x 0.70 near solar noon
    assert values[18] == pytest.approx(453.75)          # 363 x 1.25 in the evening
    assert found.mean(JUNE, DAY_MS) == pytest.approx(363, abs=1e-9)


def test_the_german_set_says_that_it_is_estimated_and_of_one_scope():
    found = factors.load(DE)
    assert found.estimated
    assert (found.id, found.scope, found.zone) == (DE, "direct", "DE")
    assert found.unconfirmed == ["de_uba_2024_direct"]
    assert found.at(JUNE, "pv").g_per_kwh == 0
    assert found.fuel_g_per_litre["diesel"] == Decimal("2676.492")      # factors reference


def test_a_factor_that_is_missing_is_none_never_zero():
    found = factors.load(DE)
    late = factors.utc_ms("2028-01-01T00:00:00Z")
    assert found.at(late).g_per_kwh is None
    assert found.at(late).status == "missing"
    assert found.at(late - 1).g_per_kwh is not None
    assert found.mean(late - 450_000, 900_000) is None
    assert found.at(JUNE, "genset").g_per_kwh is None


def test_an_interval_across_a_change_is_split_by_time():
    found = factors.parse(SET, "test")
    assert found.mean(JUNE, 900_000) == pytest.approx((350 * 300 + 280 * 600) / 900)
    assert found.mean(JUNE + 900_000, 900_000) == 280


def test_the_product_splits_by_the_function_the_golden_vectors_test(monkeypatch):
    found = factors.parse(SET, "test")
    monkeypatch.setattr(factors, "split_interval", lambda *_: [factors.FactorPart(1000.0, 7.0)])
    assert found.mean(JUNE, 900_000) == 7


def test_the_hash_is_over_the_content_not_the_layout():
    own = factors.parse(SET, "test").sha256
    assert factors.parse(b"# a comment\n" + SET.replace(b" = ", b"="), "test").sha256 == own
    assert factors.parse(SET.replace(b'"350"', b'"351"'), "test").sha256 != own
    assert len(own) == 64


def test_scopes_are_never_mixed_in_one_total():
    mixed = SET.replace(b'id = "b"', b'id = "b"\nscope = "lifecycle"')
    with pytest.raises(factors.MixedFactors, match="lifecycle.*direct"):
        factors.parse(mixed, "test")


@pytest.mark.parametrize(("old", "new", "words"), [
    (b'"350"', b"350.0", "decimal strings"),
    (b'"350"', b"350", "decimal strings"),
    (b'"350"', b'"-1"', "not below 0"),
    (b'"350"', b'"NaN"', "finite"),
    (b"format = 1", b"format = 2", "format 2"),
    (b'scope = "direct"', b'scope = "both"', "scope 'both'"),
    (b'2026-01-01T00:00:00Z"', b'2026-01-01T00:00:00"', "offset"),
    (b'zone = "XX"\n', b"", "'zone' is missing"),
    (b"[[source]]", b"[[source", "not a factor set"),
])
def test_a_bad_file_is_refused_with_its_name_and_reason(old, new, words):
    with pytest.raises(ConfigError, match=words) as caught:
        factors.parse(SET.replace(old, new, 1), "my-file.toml")
    assert "my-file.toml" in str(caught.value)


def test_an_unknown_set_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(ConfigError, match=DE):
        factors.load("nowhere")
    with pytest.raises(ConfigError, match="packaged sets"):
        factors.load("../data/" + DE)
    with pytest.raises(ConfigError, match="cannot read"):
        factors.load(tmp_path / "none.toml")
    (tmp_path / "own.toml").write_bytes(SET)
    assert factors.load(tmp_path / "own.toml").id == "x"
