"""`python -m gateway`, with the bench's meter among the profiles.

    python -m tests.bench.gateway_process PROFILES run --config cabinet.toml
"""

import sys
from pathlib import Path

from drivers.links import profile_files
from gateway.__main__ import main

if __name__ == "__main__":
    profile_files.FOLDER = Path(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
