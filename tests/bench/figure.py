"""One measured figure with its bound and the load it belongs to."""

from typing import NamedTuple


class Figure(NamedTuple):
    """name, value and unit; `most`: the largest value that is still good, or None; load: words."""

    name: str
    value: float
    unit: str
    most: float | None
    load: str

    @property
    def is_good(self) -> bool:
        """Tell whether the figure keeps its bound; without a bound it always does."""
        return self.most is None or self.value <= self.most
