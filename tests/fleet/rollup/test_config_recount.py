"""The energy of a bundle that spans another CT ratio is counted again by its own batches."""

import pytest

from fleet.evidence import evidence
from fleet.formats.registry import Registry, registry_file
from fleet.formats.timetext import parse_quarter
from fleet.reporting import report
from fleet.store.reader import open_reader
from tests.fleet.rollup.test_config_change import CT, MIDNIGHT, NEW, OLD, run
from tests.support import evidence_world as forge


@pytest.fixture
def bundle_until(ingest, gateway, tmp_path, receipt_key):
    """Give a function that bundles the evidence of a changed site from midnight to a time."""
    run(ingest, gateway, 5)
    run(ingest, gateway, 4, CT)

    def build(end):
        device = Registry(tmp_path).find("shop-1")
        times = parse_quarter(MIDNIGHT), parse_quarter(end)
        with open_reader(tmp_path) as reader:
            return evidence.build(reader, report.ReportRequest(device, None, *times),
                                  registry_file(tmp_path, device), receipt_key)
    return build


@pytest.mark.parametrize(("end", "wh"), [(OLD, "360.000"), (NEW, "11160.000")])
def test_a_recount_agrees_across_a_change_of_configuration(end, wh, bundle_until):
    found = forge.checked(bundle_until(end))
    assert found.faults == []
    assert any(line.startswith("energy      other, ") and f" {wh} Wh, bound" in line
               for line in found.proven)
