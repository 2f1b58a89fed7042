"""Files that only their owner may read, and files that are replaced whole."""

import os
from pathlib import Path


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


def replace(path: Path, content: bytes) -> None:
    """Write whole or not at all: a process that runs may read the file at any moment."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    os.replace(draft, path)
