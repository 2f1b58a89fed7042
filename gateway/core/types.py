"""Names for annotations.  MicroPython has no typing and evaluates no annotation.

The portable rooms import TYPE_CHECKING and NamedTuple from here and nothing from typing; the form
is that of docs/adr/0015-types-in-portable-rooms.md.  The image builder takes all of it out of a
board's code.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NamedTuple as NamedTuple
    from typing import Protocol

    from typing_extensions import TypeIs as TypeIs

    # From the bytes to be signed to the 64 bytes of the signature.
    Sign = Callable[[bytes], bytes]
    # From bytes to raw deflate bytes, and back: (deflated, most bytes to give) -> bytes.
    Compress = Callable[[bytes], bytes]
    Inflate = Callable[[bytes, int], bytes]

    class FileStore(Protocol):
        """Flash as the journal sees it: small files in one flat folder.  Raises StoreError."""

        def list(self) -> Iterable[str]:
            """Return the names of all files."""

        def size(self, name: str) -> int:
            """Return the size of a file in bytes."""

        def read(self, name: str, offset: int, size: int) -> bytes:
            """Return at most so many bytes from an offset on."""

        def create(self, name: str) -> None:
            """Make an empty file."""

        def write(self, name: str, offset: int, data: bytes) -> None:
            """Write bytes at an offset."""

        def sync(self, name: str) -> None:
            """Make the content of a file durable."""

        def sync_dir(self) -> None:
            """Make the names of files durable."""

        def remove(self, name: str) -> None:
            """Delete a file."""
else:
    try:
        from typing import NamedTuple
    except ImportError:
        from collections import namedtuple

        def NamedTuple(name, fields):
            """Return namedtuple's class; fields: pairs of a name and a type."""
            return namedtuple(name, tuple([field[0] for field in fields]))
