"""Parts a test needs from the machine: present, loudly skipped, or (in CI) a failure.

    path = need("mosquitto")                the command, or the test is skipped (CI: fails)
    need_module("playwright")
    need_mounts()

A laptop without a broker may still run the other tests; CI may not leave anything out, so with
CI=true a missing part fails the test that asks for it.
"""

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest

# The venv's own commands first; last, where Debian keeps daemons (not on every user's PATH).
_PLACES = os.pathsep.join(
    (sysconfig.get_path("scripts"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin")
)
# How to get a part; the name is the command, or the module where that differs.
_HINTS = {
    "mosquitto": "apt-get install mosquitto",
    "mosquitto_sub": "apt-get install mosquitto-clients",
    "mbpoll": "apt-get install mbpoll",
    "socat": "apt-get install socat",
    "chromium": "apt-get install chromium",
    "mkfs.ext4": "apt-get install e2fsprogs",
    "e2fsck": "apt-get install e2fsprogs",
    "mount": "apt-get install mount",
    "umount": "apt-get install mount",
    "setpriv": "apt-get install util-linux",
}


def need(command):
    """Return the full path of a command; without it skip the test, or fail it when CI=true."""
    path = shutil.which(command, path=_PLACES)
    if path is None:
        _missing(command, _HINTS.get(command, "make setup"))
    return path


def need_module(name):
    """Return after making sure that a Python package is installed; else skip or fail."""
    if importlib.util.find_spec(name) is None:
        _missing(f"the package {name}", "make setup")


def need_mounts():
    """Return after making sure that this process may mount disks of its own; else skip or fail."""
    mount, umount = need("mount"), need("umount")
    if not Path("/dev/loop-control").exists():
        _missing("a loop device", "modprobe loop")
    with tempfile.TemporaryDirectory() as place:
        tried = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", place],
                               capture_output=True, text=True, check=False)
        if tried.returncode:
            _missing("the right to mount", f"run as root ({tried.stderr.strip()[:200]})")
        subprocess.run([umount, place], check=True)


def _missing(part, hint):
    message = f"{part} is not on this machine: {hint}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{message} (CI=true: nothing may be left out)", pytrace=False)
    pytest.skip(f"NOT TESTED: {message}")
