"""MicroPython's read-only file system: code that a board runs where it lies in flash.

A ROMFS partition is mapped into memory, so byte code need not be copied into the heap.
Layout: MicroPython, extmod/vfs_rom.c: records of kind, length, payload; both numbers seven bits
a byte, highest first, top bit = more follows.
"""

MAGIC = b"\xd2\xcd\x31"         # the kind of the outermost record
DATA, FOLDER, FILE = 2, 4, 5


def pack(files: dict[str, bytes]) -> bytes:
    """Return the file system that holds files by path ("umqtt/simple.mpy")."""
    body = _folder(files)
    return MAGIC + number(len(body)) + body


def number(value: int) -> bytes:
    """Return a whole number >= 0 as the records write it."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, 0x80 | value & 0x7F)
    return bytes(out)


def _folder(files: dict[str, bytes]) -> bytes:
    """Return the records of what a folder holds, in order of name."""
    out = b""
    for name in sorted({path.split("/")[0] for path in files}):
        head = number(len(name.encode())) + name.encode()
        if name in files:
            out += _record(FILE, head + _record(DATA, files[name]))
        else:
            inner = {path[len(name) + 1:]: data for path, data in files.items()
                     if path.startswith(name + "/")}
            out += _record(FOLDER, head + _folder(inner))
    return out


def _record(kind: int, payload: bytes) -> bytes:
    return number(kind) + number(len(payload)) + payload
