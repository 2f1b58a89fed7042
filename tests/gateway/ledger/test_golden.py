"""Every golden vector whose method we have gives its expected value.

Files named by the environment variable GOLDEN_VECTORS are taken too (os.pathsep between them).
"""

import json
import os
import warnings
from pathlib import Path

import pytest

from tests.support.golden_carbon import METHODS

OWN = Path(__file__).resolve().parents[2] / "golden" / "carbon" / "carbon.json"
FILES = [OWN, *(Path(p) for p in os.environ.get("GOLDEN_VECTORS", "").split(os.pathsep) if p)]
# The methods this product must have: a runner that forgot one would pass in silence.
PROMISED = {
    "counter.delta", "counter.interpolate", "counter.resample", "bus.step", "site.series",
    "battery.anchor", "time.local_day", "time.local_hours", "factor.lookup",
    "factor.split_interval", "factor.weighted", "compute.host_split", "compute.overhead",
    "compute.period_pool", "compute.job", "compute.unit_rates", "kpi.pue", "kpi.ref"}


def vectors(known):
    """Return (name, vector) of all files whose method is known, or is not."""
    found = []
    for file in FILES:
        for vector in json.loads(file.read_text(encoding="utf-8"))["vectors"]:
            if (vector["method"] in METHODS) == known:
                found.append(pytest.param(vector, id=f"{file.stem}-{vector['id']}"))
    return found


def differences(expected, found, tolerance, where=""):
    """Yield what differs.  Origin maps may name origins with 0; nothing else may be extra."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            yield from differences(value, found.get(key, "absent"), tolerance, f"{where}.{key}")
        if where.endswith(("_wh", "_g", "it", "cooling", "lighting", "flag_counts")):
            yield from (f"{where}.{key}: unexpected {value}" for key, value in found.items()
                        if key not in expected and value)
    elif isinstance(expected, list) and len(expected) == len(found):
        for place, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from differences(one, other, tolerance, f"{where}[{place}]")
    elif isinstance(expected, int | float) and isinstance(found, int | float):
        allowed = tolerance["abs"] + tolerance["rel"] * abs(expected)
        if abs(expected - found) > allowed:
            yield f"{where}: expected {expected}, found {found}"
    elif expected != found:
        yield f"{where}: expected {expected!r}, found {found!r}"


@pytest.mark.parametrize("vector", vectors(known=True))
def test_a_golden_vector_gives_its_expected_value(vector):
    found = METHODS[vector["method"]](vector["inputs"])
    assert not list(differences(vector["expected"], found, vector["tolerance"]))


def test_every_promised_method_has_vectors_that_run():
    ran = {param.values[0]["method"] for param in vectors(known=True)}
    assert ran >= PROMISED


def test_methods_we_do_not_have_yet_are_reported_not_hidden():
    unknown = sorted({param.values[0]["method"] for param in vectors(known=False)})
    if unknown:
        warnings.warn(f"golden methods without an implementation: {', '.join(unknown)}",
                      stacklevel=1)
    assert not PROMISED & set(unknown)


def test_the_comparison_itself_finds_a_wrong_value_and_an_invented_one():
    tolerance = {"rel": 1e-9, "abs": 1e-9}
    assert list(differences({"a": None}, {"a": 0}, tolerance))
    assert list(differences({"a": 1}, {"a": 1.00001}, tolerance))
    assert list(differences({"x_wh": {"a": 1}}, {"x_wh": {"a": 1, "b": 2}}, tolerance))
    assert not list(differences({"x_wh": {"a": 1}}, {"x_wh": {"a": 1, "b": 0}}, tolerance))
