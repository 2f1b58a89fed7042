"""What every test shares: hypothesis without wall-clock deadlines, the same cases in every run."""

from hypothesis import settings

# A deadline measures the machine's other work, not ours.  A failing example prints its blob.
settings.register_profile("same", deadline=None, print_blob=True, derandomize=True)
# New cases each time, for `make soak`: pytest --hypothesis-profile=explore
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("same")
