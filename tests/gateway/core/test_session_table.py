"""The moves of an uplink's session: the whole table, and nothing beside it."""

from gateway.core import session_table as table
from gateway.core.errors import Bug

STATES, EVENTS = range(5), range(5)


def test_a_connection_that_ends_leads_offline_or_to_a_person_from_everywhere():
    for state in STATES:
        assert table.next_state(state, table.LOST) == table.OFFLINE
        assert table.next_state(state, table.REFUSED) == table.REJECTED


def test_only_who_has_no_connection_gets_one_and_it_begins_online():
    for state in STATES:
        connected = state in (table.ONLINE, table.UNANSWERED)
        assert ((state, table.CONNECTED) in table.NEXT) != connected
    for state in (table.STARTING, table.OFFLINE, table.REJECTED):
        assert table.next_state(state, table.CONNECTED) == table.ONLINE


def test_silence_and_its_end_are_matters_of_a_connection():
    for state in (table.ONLINE, table.UNANSWERED):
        assert table.next_state(state, table.SILENT) == table.UNANSWERED
        assert table.next_state(state, table.ANSWERED) == table.ONLINE


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
                assert table.EVENTS[event] in str(error) and table.STATES[state] in str(error)
            else:
                raise Bug("no Bug")
    assert refused == len(STATES) * len(EVENTS) - len(table.NEXT) == 8
