"""The runner on MicroPython: it fails when a test fails, when there is none, on a broken import."""

import subprocess
from pathlib import Path

import pytest

from tests.support.parts import need

RUNNER = Path(__file__).with_name("runner.py")


def _run(folder, text):
    file = folder / "tests_of_a_room.py"
    file.write_text(text, encoding="utf-8")
    command = [need("micropython"), "-X", "heapsize=256K", str(RUNNER), str(file), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_passing_test_is_named_and_the_status_is_0(tmp_path):
    done = _run(tmp_path, "def test_a():\n    assert 1 + 1 == 2\n")
    assert (done.returncode, done.stdout) == (0, "ok test_a\n")


@pytest.mark.parametrize("text", [
    "def test_a():\n    assert 1 + 1 == 3\n",
    "def test_a():\n    raise KeyError('x')\n",
    "A = 1\n",
    "import a_module_nobody_has\ndef test_a():\n    assert 1 + 1 == 2\n",
])
def test_a_failing_an_absent_and_a_broken_test_give_another_status(tmp_path, text):
    assert _run(tmp_path, text).returncode != 0
