"""A small wrong tree: each row is one planted fault and the same lines put right.

Columns: path, wrong text, right text, words that must stand in the fault.  Text without a
docstring of its own gets one in front, so that a row plants one fault and not two.
"""

from collections import namedtuple

Row = namedtuple("Row", ("path", "wrong", "right", "words"))

CORE, LEDGER, SHELL = "gateway/core/x.py", "gateway/ledger/x.py", "gateway/x.py"
TEST = "tests/gateway/test_x.py"
_BRANCHES = "def f(a):\n    '''Do.'''\n    if a:\n        for b in a:\n            while b:\n"

IMPORTS = (
    Row(CORE, "from drivers import modbus", "from gateway.core import crc", "may not import"),
    Row(CORE, "from ..ledger import carbon", "from . import crc", "may not import gateway.ledger"),
    Row(CORE, "import json", "import struct", "is portable; json is not"),
    Row("drivers/x.py", "from drivers.links import tcp", "from drivers import modbus", "links"),
    Row("drivers/x.py", "import typing", "import binascii", "is portable; typing is not"),
    Row("drivers/links/x.py", "import pymodbus", "import serial", "may not use the package"),
    Row(LEDGER, "from gateway import clock", "from gateway.core import interval", "may not"),
    Row(LEDGER, "import asyncio", "import math", "the ledger only computes"),
    Row(SHELL, "import fleet.store", "import gateway.ledger.carbon", "may not import fleet"),
    Row(SHELL, "import cbor2", "import cryptography", "may not use the package cbor2"),
    Row("fleet/x.py", "from gateway import journal_shell", "from gateway.core import batch", "may"),
    Row("simulator/x.py", "import fleet", "import drivers.profile", "may not import fleet"),
    Row("provisioning/x.py", "import gateway.app", "import gateway.config", "may not import"),
    Row("provisioning/x.py", "from gateway import app", "from gateway import config", "may not"),
    Row(SHELL, "import tests.support", "import json", "does not import tests"),
    Row("tests/gateway/core/test_x.py", "import pytest", "import struct", "both interpreters"),
)
DOORS = (
    Row(SHELL, "import time\nNOW = time.monotonic()", "NOW = 0", "belongs in gateway/timekeeping/"),
    Row(SHELL, "from time import time as now\nNOW = now()", "NOW = 0", "time.time belongs"),
    Row(SHELL, "import datetime\nN = datetime.datetime.now()", "N = 0", "datetime.now belongs"),
    Row("drivers/links/x.py", "import time\nNOW = time.time()", "NOW = 0", "no clock in this room"),
    Row(SHELL, "import os\nos.fsync(1)", "import os\nos.close(1)", "belongs in gateway/storage/"),
    Row("fleet/x.py", "import os\nos.fdatasync(1)", "import os\nos.close(1)", "os.fdatasync"),
    Row(TEST, "import time\ntime.sleep(1)", "import time\ntime.gmtime(0)", "does not sleep"),
)
DIALECT = tuple(Row(CORE, wrong, right, words) for wrong, right, words in (
    ("A = 0.5", "A = (1, 2)", "float literal"),
    ("A = 7 / 2", "A = 7 // 2", "no /"),
    ("A = 7\nA /= 2", "A = 7\nA //= 2", "no /"),
    ("A = []\nassert not A", "A = []\nif A:\n    raise ValueError", "no assert"),
    ("match 1:\n    case _:\n        A = 1", "A = 1", "no match"),
    ("A = ()\nB = [*A]", "A = ()\nB = list(A)", "star inside a literal"),
    ("A = {}\nB = {**A}", "A = {}\nB = dict(A)", "no **"),
    ("A = 1\nB = f'{A=}'", "A = 1\nB = f'{A}'", "f'{x=}'"),
    ("A = b'abc'[::2]", "A = b'abc'[1:2]", "no step"),
    ("A = bytearray(9)\ndel A[:3]", "A = bytearray(9)\nA = A[3:]", "no del of a slice"),
    ("A = '1'.zfill(3)", "A = '%03d' % 1", "no .zfill"),
    ("A = (5).bit_length()", "A = 5 >> 1", "no .bit_length"),
    ("import hashlib\nA = hashlib.sha256().hexdigest()",
     "import hashlib\nA = hashlib.sha256().digest().hex()", "no .hexdigest"),
    ("A = int.from_bytes(b'1', 'big', signed=True)", "A = int.from_bytes(b'1', 'big')", "big"),
    ("import struct\nA = struct.pack('>3xH', 1)", "import struct\nA = struct.pack('>xH', 1)", "3x"),
    ("A = [b for b in {1, 2}]", "A = [b for b in (1, 2)]", "iteration over a set"),
    ("A = round(7, -1)", "A = 7 // 10", "no round"),
    ("def f(a, /):\n    '''Do.'''", "def f(a):\n    '''Do.'''", "positional-only"),
    ("async def f():\n    '''Do.'''\n    yield 1",
     "def f():\n    '''Do.'''\n    yield 1", "async generator"),
    ("try:\n    A = 1\nexcept OSError as e:\n    raise ValueError(e) from e",
     "try:\n    A = 1\nexcept OSError as e:\n    raise ValueError(e)", "no raise ... from"),
    ("try:\n    A = 1\nexcept TimeoutError:\n    A = 2",
     "try:\n    A = 1\nexcept OSError:\n    A = 2", "no TimeoutError"),
    ("def encode(d):\n    '''Do.'''\n    return b''.join(v for v in d.values())",
     "def encode(d):\n    '''Do.'''\n    return b''.join(v for v in sorted(d.values()))",
     "emits in dict order"),
))
SIZES = (
    Row(SHELL, "A = 1\n" * 401, "A = 1\n" * 390, "the limit is 400"),
    Row(SHELL, "A = '" + "x" * 100 + "'", "A = '" + "x" * 80 + "'", "line of 106"),
    Row(SHELL, "def f():\n    '''Do.'''\n" + "    a = 1\n" * 49,
        "def f():\n    '''Do.'''\n" + "    a = 1\n" * 48, "f has 51 lines"),
    Row(SHELL, "def f(a, b, c, d, *, e, g):\n    '''Do.'''",
        "class A:\n    '''A.'''\n    def f(self, a, b, c, d, e):\n        '''Do.'''",
        "6 parameters"),
    Row(SHELL, _BRANCHES + "                if b:\n                    return a",
        _BRANCHES + "                return a", "nests 4 deep"),
    Row(SHELL, "def f():\n    return 1", "def _f():\n    return 1", "f has no docstring"),
    Row(SHELL, "class A:\n    pass", "class A:\n    '''A.'''", "A has no docstring"),
    Row("tests/support/x.py", "def f():\n    return 1", "def f():\n    '''Do.'''", "no docstring"),
)
HONESTY = (
    Row(TEST, "def test_a():\n    print(1)", "def test_a():\n    assert print(1) is None",
        "asserts nothing"),
    Row(TEST, "def test_a():\n    verify(1)", "def test_a():\n    check_ledger(1)",
        "asserts nothing"),
    Row(TEST, "def test_a():\n    assert True", "def test_a():\n    assert 1 + 1 == 2", "always"),
    Row(TEST, "def f():\n    return 1\ndef test_a():\n    f()",
        "def f():\n    assert 1 + 1 == 2\ndef g():\n    f()\ndef test_a():\n    g()",
        "test_a asserts nothing"),
    Row(TEST, "import pytest\nA = pytest.importorskip('os')", "import os\nA = os", "parts.need"),
    Row(SHELL, "def f():\n    '''Do.'''\n    raise NotImplementedError",
        "def f():\n    '''Do.'''\n    raise ValueError", "a stub"),
    Row(SHELL, "try:\n    A = 1\nexcept:\n    A = 2", "try:\n    A = 1\nexcept OSError:\n    A = 2",
        "bare except"),
    Row(SHELL, "try:\n    A = 1\nexcept Exception:\n    pass",
        "try:\n    A = 1\nexcept OSError:\n    pass", "silenced"),
    Row(SHELL, "A = 1   # TO" "DO: two", "A = 1   # one", "unfinished"),
    Row("docs/x.md", "see /wo" "rk/notes.md", "see docs/notes.md", "outside the project"),
    Row("docs/x.md", "https://py" "pi.example/simple", "https://example.org/simple", "outside"),
)
ROWS = IMPORTS + DOORS + DIALECT + SIZES + HONESTY
