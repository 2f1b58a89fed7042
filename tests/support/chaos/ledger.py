"""What the gateway's own words promised, and what the chaos itself destroyed.

The gateway writes the highest durable sequence of each commit into a witness file; each of its
lives has one.  `gateway status` says which journal it was in.
"""

from collections import defaultdict


class Ledger:
    """Witness of all lives, and destroyed sequences, by journal id (hex)."""

    def __init__(self, folder):
        self._folder = folder
        self._lives = []                        # [path, [(lines, journal id)]]
        self.destroyed = defaultdict(set)

    def next_life(self):
        """Return the witness file of a life that begins."""
        path = self._folder / f"witness-{len(self._lives) + 1}.txt"
        self._lives.append((path, []))
        return path

    @property
    def lives(self):
        """How many there were."""
        return len(self._lives)

    def mark(self, journal):
        """Note which journal the newest life is in now."""
        path, marks = self._lives[-1]
        marks.append((len(sequences(path)), journal))

    def journal(self):
        """Return the id that was marked last, None before the first."""
        return next((marks[-1][1] for _, marks in reversed(self._lives) if marks), None)

    def highest(self):
        """Return the highest sequence of the newest life, 0 for none."""
        return max(sequences(self._lives[-1][0]), default=0) if self._lives else 0

    def destroy(self, first, last):
        """Note sequences of the journal that were destroyed on purpose."""
        self.destroyed[self.journal()].update(range(first, last + 1))

    def witnessed(self):
        """Return {journal id: highest sequence witnessed in it}.

        What was written between two marks counts if both name the same journal.
        """
        found = defaultdict(int)
        for path, marks in self._lives:
            lines, before = sequences(path), 0
            for place, (count, journal) in enumerate(marks):
                if place == 0 or marks[place - 1][1] == journal:
                    found[journal] = max([found[journal], *lines[before:count]])
                before = count
            if marks:
                found[marks[-1][1]] = max([found[marks[-1][1]], *lines[before:]])
        return dict(found)


def sequences(path):
    """Return the sequences of a witness file; a torn last line is none."""
    if not path.exists():
        return []
    return [int(line) for line in path.read_bytes().split(b"\n")[:-1] if line.isdigit()]
