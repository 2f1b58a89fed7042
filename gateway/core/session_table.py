"""The states of an uplink's session and its moves, as a table.

In this file: which event leads from which state where; used by gateway/delivery and by
gateway/micro.  Not here: what is done in a state.  docs/concurrency.md shows the table as a
diagram, printed from it.
"""

from gateway.core.errors import Bug

# States and events are numbers, which cost a board nothing; their names stand beside them.
STARTING = 0        # no connection was tried to its end yet
ONLINE = 1          # connected and subscribed
UNANSWERED = 2      # connected, batches go out, no receipt comes
OFFLINE = 3         # no connection; waiting is enough
REJECTED = 4        # the broker refuses this gateway, or is not the right one
STATES = ("starting", "online", "unanswered", "offline", "rejected")

CONNECTED = 0       # the broker granted the subscription to receipts
ANSWERED = 1        # a receipt of the fleet moved the mark, or ended a silence
SILENT = 2          # receipts are overdue, and not for the first time
LOST = 3            # the connection ended, or none came about
REFUSED = 4         # ... for a reason that needs a person
EVENTS = ("connected", "answered", "silent", "lost", "refused")

NEXT = {
    (STARTING, CONNECTED): ONLINE,
    (STARTING, LOST): OFFLINE,
    (STARTING, REFUSED): REJECTED,
    (ONLINE, ANSWERED): ONLINE,
    (ONLINE, SILENT): UNANSWERED,
    (ONLINE, LOST): OFFLINE,
    (ONLINE, REFUSED): REJECTED,
    (UNANSWERED, ANSWERED): ONLINE,
    (UNANSWERED, SILENT): UNANSWERED,
    (UNANSWERED, LOST): OFFLINE,
    (UNANSWERED, REFUSED): REJECTED,
    (OFFLINE, CONNECTED): ONLINE,
    (OFFLINE, LOST): OFFLINE,
    (OFFLINE, REFUSED): REJECTED,
    (REJECTED, CONNECTED): ONLINE,
    (REJECTED, LOST): OFFLINE,
    (REJECTED, REFUSED): REJECTED,
}


def next_state(state: int, event: int) -> int:
    """Return the state after an event; a pair that the table does not hold is a Bug."""
    if (state, event) not in NEXT:
        raise Bug("uplink: %s while %s" % (EVENTS[event], STATES[state]))
    return NEXT[(state, event)]
