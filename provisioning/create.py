"""Create a site's folder: every file new, secrets for their owner only, nothing half done."""

import contextlib
import datetime
import os
from pathlib import Path

from gateway.config import load as config
from gateway.core.errors import ConfigError
from provisioning.site import FOLDERS, files_of, is_public
from provisioning.toml_text import Table


def site(parts: Table, out: Path, now: datetime.datetime) -> list[Path]:
    """Write a site into `out` and return the files made, in order.

    parts: as parts.load gives it.  now: aware time from which certificates are valid.
    Raises ConfigError when any of the files is there already (a key is never replaced), and
    with every mistake when the gateway could not run what the parts describe.
    """
    root = out.resolve()
    files = dict(files_of(parts, root, now))
    there = [name for name in files if (root / name).exists()]
    if there:
        raise ConfigError(f"{root / there[0]} is there already and is not overwritten; "
                          "next: choose another --out, or move the old site away first")
    root.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        private_folder(root / folder)
    for name, content in files.items():
        write_new(root / name, content, mode=0o644 if is_public(name) else 0o600)
    _check(root, list(files))
    return [root / name for name in files]


def _check(root: Path, names: list[str]) -> None:
    """Let the gateway judge the cabinet; one it would not run leaves no keys behind."""
    mistakes = config.check(root / "cabinet.toml")
    if not mistakes:
        return
    for name in names:
        (root / name).unlink()
    for folder in FOLDERS:
        with contextlib.suppress(OSError):          # something else of the owner's is in it
            (root / folder).rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()
    told = "\n".join(f"  {text}" for _, text in mistakes)
    raise ConfigError(f"{told}\nthe parts do not make a cabinet that could run, nothing was made; "
                      "next: correct them")


def private_folder(path: Path) -> None:
    """Make a folder only its owner may enter; an existing one is narrowed to that."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet; a secret is never readable by others, not
    even between creation and chmod."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
