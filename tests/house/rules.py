"""The house rules as one function: every fault names its file, its line and its rule.

A rule is a generator over one Source; what the rules look at and why stands in docs/design.md.
`python -m tests.house` prints the faults, `tests/house/test_house.py` demands that there are
none, and `tests/house/test_rules.py` plants each fault once.
"""

from tests.house.doors import check_one_door
from tests.house.honesty import check_finished, check_machine, check_skips, check_tests_assert
from tests.house.imports import check_imports
from tests.house.portable import check_dialect
from tests.house.sizes import check_docstrings, check_shape, check_sizes
from tests.house.source import sources

RULES = (
    check_imports,
    check_one_door,
    check_dialect,
    check_sizes,
    check_shape,
    check_docstrings,
    check_tests_assert,
    check_skips,
    check_finished,
)


def faults(root):
    """Return all faults under root as lines `path:line: rule`, sorted by file."""
    found = [fault for source in sources(root) for rule in RULES for fault in rule(source)]
    found += check_machine(root)
    return sorted(found)
