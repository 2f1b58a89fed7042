"""The moves of an uplink's session: the whole table, and nothing beside it."""

from gateway.core import session_table as table
from gateway.core.errors import Bug

STATES = (table.STARTING, table.ONLINE, table.UNANSWERED, table.OFFLINE, table.REJECTED)
EVENTS = (table.CONNECTED, table.ANSWERED, table.SILENT, table.LOST, table.REFUSED)


def test_a_connection_that_ends_leads_offline_or_to_a_person_from_everywhere():
    for state in STATES:
        assert table.next_state(state, table.LOST) == "offline"
        assert table.next_state(state, table.REFUSED) == "rejected"


def test_only_who_has_no_connection_gets_one_and_it_begins_online():
    for state in STATES:
        connected = state in ("online", "unanswered")
        assert ((state, table.CONNECTED) in table.NEXT) != connected
    for state in ("starting", "offline", "rejected"):
        assert table.next_state(state, table.CONNECTED) == "online"


def test_silence_and_its_end_are_matters_of_a_connection():
    for state in ("online", "unanswered"):
        assert table.next_state(state, table.SILENT) == "unanswered"
        assert table.next_state(state, table.ANSWERED) == "online"


def test_what_the_table_does_not_hold_is_a_bug():
    refused = 0
    for state in STATES:
        for event in EVENTS:
            if (state, event) in table.NEXT:
                continue
            refused += 1
            try:
                table.next_state(state, event)
            except Bug as error:
                assert event in str(error) and state in str(error)
            else:
                raise Bug("no Bug")
    assert refused == len(STATES) * len(EVENTS) - len(table.NEXT) == 8
