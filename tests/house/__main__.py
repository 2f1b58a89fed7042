"""`python -m tests.house [ROOT]`: print every fault; exit 1 if there is one."""

import sys
from pathlib import Path

from tests.house.rules import faults


def main():
    """Return the exit status: 0 for a house in order."""
    found = faults(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(found) or "house in order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
