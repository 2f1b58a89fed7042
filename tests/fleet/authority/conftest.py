"""What the tests of the authority begin with."""

import pytest

from tests.support.cabinets import enrol, make_cabinet, make_fleet


@pytest.fixture
def data(tmp_path):
    """A fleet with two cabinets."""
    made = make_fleet(tmp_path / "fleet")
    for name in ("shop-1", "shop-2"):
        assert enrol(make_cabinet(tmp_path / name, cabinet=name), made) == 0
    return made
