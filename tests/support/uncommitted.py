"""What waits in a journal's RAM: the only look behind its door that the tests take; portable.

    events = [item for item in uncommitted(journal) if is_event(item)]      of a start
"""


def uncommitted(journal):
    """Return the records appended since the last commit or full frame: the journal's own list."""
    # The events of a start are in no frame and in no batch, and no process reads its own tail.
    return journal._buffer._loose  # noqa: SLF001  promises are checked before any commit
