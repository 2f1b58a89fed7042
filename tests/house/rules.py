"""The house rules as one function: every fault names its file, its line and its rule.

A rule is a generator over one Source; what the rules look at and why stands in docs/design.md.
What a library can check is not checked here: imports are import-linter's contracts (setup.cfg),
arguments, complexity, nesting, docstrings, private access and doors are ruff's rules (ruff.toml).
`python -m tests.house` prints the faults, `tests/house/test_house.py` demands that there are
none, and `tests/house/test_rules.py` plants each fault once.
"""

from tests.house.honesty import check_finished, check_machine, check_skips, check_tests_assert
from tests.house.owners import check_attributes
from tests.house.portable import check_dialect, check_portable_imports
from tests.house.sizes import check_folders, check_sizes
from tests.house.source import sources
from tests.house.types_of_rooms import check_any, check_types
from tests.house.words import check_names, check_phrases, check_type_names

RULES = (
    check_dialect,
    check_portable_imports,
    check_types,
    check_sizes,
    check_attributes,
    check_tests_assert,
    check_skips,
    check_finished,
    check_names,
)


def faults(root):
    """Return all faults under root as lines `path:line: rule`, sorted by file."""
    every = list(sources(root))
    found = [fault for source in every for rule in RULES for fault in rule(source)]
    found += check_folders(every)
    found += check_any(every)
    found += check_type_names(every)
    found += check_machine(root)
    found += check_phrases(root)
    return sorted(found)
