"""The states of an uplink's session and its moves, as a table.

In this file: which event leads from which state where; used by gateway/delivery and by
gateway/micro.  Not here: what is done in a state.
"""

from gateway.core.errors import Bug

STARTING = "starting"       # no connection was tried to its end yet
ONLINE = "online"           # connected and subscribed
UNANSWERED = "unanswered"   # connected, batches go out, no receipt comes
OFFLINE = "offline"         # no connection; waiting is enough
REJECTED = "rejected"       # the broker refuses this gateway, or is not the right one

CONNECTED = "connected"     # the broker granted the subscription to receipts
ANSWERED = "answered"       # a receipt of the fleet moved the mark, or ended a silence
SILENT = "silent"           # receipts are overdue, and not for the first time
LOST = "lost"               # the connection ended, or none came about
REFUSED = "refused"         # ... for a reason that needs a person

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


def next_state(state: str, event: str) -> str:
    """Return the state after an event; a pair that the table does not hold is a Bug."""
    if (state, event) not in NEXT:
        raise Bug("uplink: %s while %s" % (event, state))
    return NEXT[(state, event)]
