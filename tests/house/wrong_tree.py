"""A small wrong tree: each row is one planted fault and the same lines put right.

Columns: path, wrong text, right text, words that must stand in the fault.  Text without a
docstring of its own gets one in front, so that a row plants one fault and not two.
"""

from collections import namedtuple

Row = namedtuple("Row", ("path", "wrong", "right", "words"))

CORE, LEDGER, SHELL = "gateway/core/x.py", "gateway/ledger/x.py", "gateway/x.py"
TEST = "tests/gateway/test_x.py"
_BRANCHES = "def f(a):\n    '''Do.'''\n    if a:\n        for b in a:\n            while b:\n"

PORTABLE = (
    Row(CORE, "import json", "import struct", "is portable; json is not"),
    Row("drivers/x.py", "import typing", "import binascii", "is portable; typing is not"),
    Row("tests/gateway/core/test_x.py", "import pytest", "import struct", "both interpreters"),
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
_TC = "from gateway.core.types import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
_NT = "from gateway.core.types import NamedTuple\nP = NamedTuple('P', [('a', %s)])"
TYPES = tuple(Row(CORE, wrong, right, words) for wrong, right, words in (
    ("from typing import Any\ndef _f(a: Any): pass",
     _TC + "from typing import Any\ndef _f(a: 'Any'): pass", "is portable; typing"),
    ("from collections.abc import Iterator\ndef _f(a: Iterator[int]): pass",
     _TC + "from collections.abc import Iterator\ndef _f(a: 'Iterator[int]'): pass",
     "collections.abc belongs into if TYPE_CHECKING"),
    (_TC + "import json", _TC + "from typing import Any", "is portable; json is not"),
    (_TC + "B = int\nC = B", _TC + "B = int\nC: 'B' = 1", "B exists for the type checker only"),
    (_TC + "B = int\nelse:\n    C = 3", _TC + "B = int", "has no else"),
    (_TC + "print_ = [1].append(2)\n    for a in (): pass", _TC + "B = int", "protocols only"),
    ("from gateway.core.types import Sign", _TC + "from gateway.core.types import Sign",
     "Sign belongs into if TYPE_CHECKING"),
    ("from collections import namedtuple\nP = namedtuple('P', ('a',))", _NT % "int",
     "knows no types"),
    (_NT % "int | None", _NT % "'int | None'", "a name or quoted"),
))
SIZES = (
    Row(SHELL, "A = 1\n" * 401, "A = 1\n" * 390, "the limit is 400"),
    Row(SHELL, "def f():\n    '''Do.'''\n" + "    a = 1\n" * 49,
        "def f():\n    '''Do.'''\n" + "    a = 1\n" * 48, "f has 51 lines"),
)
_OWNER = "class A:\n    '''Own.'''\n    def f(self):\n        '''Do.'''\n"
_ATTRIBUTES = [f"        self.a{i} = 1\n" for i in range(13)]
OWNERS = (
    Row(SHELL, _OWNER + "".join(_ATTRIBUTES), _OWNER + "".join(_ATTRIBUTES[1:]),
        "A owns 13 attributes"),
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
WORDS = (
    Row(SHELL, "class Room:\n    '''A.'''", "class Retention:\n    '''A.'''", "is Retention"),
    Row(SHELL, "def _hear(a):\n    return a", "def _receive(a):\n    return a", "is receive"),
    Row("fleet/x.py", "def f(worth):\n    '''Do.'''", "def f(a):\n    '''Do.'''", "per_count"),
    Row(SHELL, "from collections import namedtuple\nA = namedtuple('A', ('link',))",
        "from collections import namedtuple\nA = namedtuple('A', ('seq',))", "chain_hash"),
    Row("docs/x.md", "old batches are coarsened", "a `coarsened` event", "is downsample"),
    Row("docs/x.md", "it begins anew", "it starts again", "is again"),
)
ROWS = PORTABLE + DIALECT + TYPES + SIZES + OWNERS + HONESTY + WORDS
# ruff's share: path, wrong text, right text, the rule's code.
RUFF = (
    Row(SHELL, "import time\nNOW = time.monotonic()", "NOW = 0", "TID251"),
    Row(SHELL, "from time import time as now\nNOW = now()", "NOW = 0", "TID251"),
    Row(SHELL, "import datetime\nN = datetime.datetime.now()", "N = 0", "TID251"),
    Row("drivers/links/x.py", "import time\nNOW = time.time()", "NOW = 0", "TID251"),
    Row("fleet/store/x.py", "import time\nNOW = time.time()", "NOW = 0", "TID251"),
    Row("fleet/x.py", "import os\nos.fdatasync(1)", "import os\nos.close(1)", "TID251"),
    Row(TEST, "import time\ntime.sleep(1)", "import time\ntime.gmtime(0)", "TID251"),
    Row(CORE, "from . import crc\nA = crc", "from gateway.core import crc\nA = crc", "TID252"),
    Row(SHELL, "A = '" + "x" * 100 + "'", "A = '" + "x" * 80 + "'", "E501"),
    Row(SHELL, "def f(a, b, c, d, *, e, g):\n    '''Do.'''",
        "class A:\n    '''A.'''\n    def f(self, a, b, c, d, e):\n        '''Do.'''", "PLR0913"),
    Row(SHELL, _BRANCHES + "                if b:\n                    return a",
        _BRANCHES + "                return a", "PLR1702"),
    Row(SHELL, "def f(a):\n    '''Do.'''\n" + "    if a == 1:\n        return 2\n" * 11,
        "def f(a):\n    '''Do.'''\n" + "    if a == 1:\n        return 2\n" * 10, "C901"),
    Row(SHELL, "def f():\n    return 1", "def _f():\n    return 1", "D103"),
    Row(SHELL, "class A:\n    pass", "class A:\n    '''A.'''", "D101"),
    Row(SHELL, "def f(a):\n    '''Do.'''\n    return a._b",
        "def f(a):\n    '''Do.'''\n    return a.b", "SLF001"),
)
# import-linter's share: file, the wrong import, a word of the contract that it breaks.
Edge = namedtuple("Edge", ("path", "wrong", "contract"))
EDGES = (
    Edge("gateway/core/counter.py", "import drivers.modbus", "Rooms"),
    Edge("gateway/core/codec/crc.py", "import gateway.ledger.site", "gateway.core imports nothing"),
    Edge("gateway/ledger/site.py", "import asyncio", "gateway.ledger computes"),
    Edge("drivers/modbus.py", "import gateway.timekeeping.clock", "drivers know no sites"),
    Edge("fleet/clock.py", "import drivers.modbus", "the fleet never sees a bus"),
    Edge("simulator/clock.py", "import gateway.ledger.site", "the simulator computes physics"),
    Edge("provisioning/clock.py", "import gateway.storage.store", "provisioning reads"),
    Edge("drivers/registers.py", "import drivers.decode", "no circle"),
    Edge("drivers/links/base.py", "import cbor2", "core, ledger, drivers and asyncio"),
    Edge("gateway/app.py", "import cbor2", "the gateway has serial"),
    Edge("fleet/settings.py", "import pymodbus", "the fleet opens no bus"),
    Edge("simulator/noise.py", "import aiomqtt", "the simulator stands on"),
    Edge("provisioning/identity.py", "import cbor2", "provisioning makes keys"),
    Edge("fleet/store/reader.py", "from fleet.rollup import rollup", "the fleet's stages"),
    Edge("simulator/faults.py", "import simulator.runner", "the simulator's stages"),
    Edge("simulator/demo/report.py", "import simulator.demo.gateway_run", "the demo's stages"),
    Edge("gateway/polling/poller.py", "import gateway.delivery.uplink", "the gateway's stages"),
    Edge("gateway/core/codec/cbor.py", "import gateway.core.evidence.batch", "the core's stages"),
    Edge("drivers/links/http.py", "import drivers.links.registry", "transports: the registry"),
    Edge("gateway/config/table.py", "import gateway.config.parse", "configuration: keys"),
)
