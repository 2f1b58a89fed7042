"""A missing part is skipped on a laptop and is a failure in CI."""

import pytest

from tests.support.parts import need, need_module

ABSENT = "a-command-nobody-has"


def test_a_part_that_is_there_is_named_by_its_path():
    assert need("sh").endswith("/sh")


def test_on_a_laptop_a_missing_part_skips_and_says_so(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(BaseException, match="NOT TESTED: a-command") as caught:
        need(ABSENT)
    assert caught.typename == "Skipped"


@pytest.mark.parametrize("ask", [need, need_module])
def test_in_ci_a_missing_part_fails(monkeypatch, ask):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(BaseException, match="nothing may be left out") as caught:
        ask(ABSENT)
    assert caught.typename == "Failed"
