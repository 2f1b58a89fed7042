"""Names for annotations.  MicroPython has no typing and evaluates no annotation.

The portable rooms import TYPE_CHECKING and NamedTuple from here and nothing from typing; the form
is that of docs/adr/0015-types-in-portable-rooms.md.  The image builder takes all of it out of a
board's code.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple as NamedTuple

    from typing_extensions import TypeIs as TypeIs

    # From the bytes to be signed to the 64 bytes of the signature.
    Sign = Callable[[bytes], bytes]
    # From bytes to raw deflate bytes, and back: (deflated, most bytes to give) -> bytes.
    Compress = Callable[[bytes], bytes]
    Inflate = Callable[[bytes, int], bytes]
else:
    try:
        from typing import NamedTuple
    except ImportError:
        from collections import namedtuple

        def NamedTuple(name, fields):
            """Return namedtuple's class; fields: pairs of a name and a type."""
            return namedtuple(name, tuple([field[0] for field in fields]))
