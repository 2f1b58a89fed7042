"""What every test shares: hypothesis without wall-clock deadlines, reproducible in CI."""

import os

from hypothesis import settings

# A deadline measures the machine's other work, not ours.  A failing example prints its blob.
settings.register_profile("laptop", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() == "true" else "laptop")
