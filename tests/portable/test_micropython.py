"""The portable rooms on the interpreter of the boards: every file compiles, every test passes.

The rooms are compiled as an image would hold them (mpy-cross -O2, which removes asserts); the
tests themselves run from source with asserts live.  What MicroPython ran must be, name by name,
what pytest collects on CPython: a test that silently stays away is a failure here.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import is_portable, is_portable_test, module_name, sources
from tests.support.parts import need

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "tests" / "portable" / "runner.py"
LOADER = ROOT / "tests" / "portable" / "loader.py"
# Room for tests that go to the limits of a batch (131,072 records, 16 MiB inflated); a board
# keeps far below them.
HEAP = "16M"
# All portable rooms loaded at once; objects of the 64-bit build take 1.4 times a board's bytes.
LOAD_HEAP = "320K"
ROOM_FILES = [s.path for s in sources(ROOT) if is_portable(s) or s.path == "gateway/__init__.py"]
MODULES = [module_name(path) for path in ROOM_FILES]
TEST_FILES = [s.path for s in sources(ROOT) if is_portable_test(s.path)]


def compile_for_boards(path, out):
    """Compile one file of a room into out/ and return the finished process."""
    target = (out / path).with_suffix(".mpy")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [need("mpy-cross"), "-O2", "-s", path, "-o", str(target), str(ROOT / path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """Return a folder with every portable file as .mpy."""
    out = tmp_path_factory.mktemp("image")
    for path in ROOM_FILES:
        compile_for_boards(path, out)
    return out


@pytest.fixture(scope="session")
def collected():
    """Return file -> names of the tests that pytest collects in it on CPython."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *TEST_FILES], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    names = {path: set() for path in TEST_FILES}
    for line in done.stdout.splitlines():
        path, found, name = line.partition("::")
        if found and path in names:
            names[path].add(name)
    return names


def test_both_rooms_have_tests_that_both_interpreters_run():
    assert {path.split("/")[1] for path in TEST_FILES} == {"gateway", "drivers"}


@pytest.mark.parametrize("path", ROOM_FILES)
def test_a_portable_file_compiles_for_boards(path, tmp_path):
    done = compile_for_boards(path, tmp_path)
    assert done.returncode == 0, done.stderr


def test_all_portable_rooms_load_together_in_a_limited_heap(image):
    command = [need("micropython"), "-X", f"heapsize={LOAD_HEAP}", str(LOADER), str(image)]
    done = subprocess.run(
        [*command, *MODULES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.splitlines() == [f"loaded {name}" for name in MODULES]


@pytest.mark.parametrize("path", TEST_FILES)
def test_the_tests_of_a_portable_file_pass_on_micropython(path, image, collected):
    command = [need("micropython"), "-X", f"heapsize={HEAP}", str(RUNNER), str(ROOT / path)]
    done = subprocess.run(
        [*command, str(image), str(ROOT)], cwd=ROOT, capture_output=True, text=True,
        timeout=100, check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    ran = {line[3:] for line in done.stdout.splitlines() if line.startswith("ok ")}
    assert ran
    assert ran == collected[path]
