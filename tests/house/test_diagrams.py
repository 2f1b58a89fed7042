"""The diagrams of docs/concurrency.md are those of the tables."""

from gateway.core import session_table
from tests.house import diagrams


def test_the_page_shows_the_tables_as_they_are():
    text = diagrams.PAGE.read_text(encoding="utf-8")
    assert diagrams.printed(text) == text, "run python -m tests.house.diagrams"


def test_a_move_that_changes_changes_the_page(monkeypatch):
    text = diagrams.PAGE.read_text(encoding="utf-8")
    monkeypatch.setitem(session_table.NEXT, (session_table.ONLINE, session_table.LOST),
                        session_table.REJECTED)
    assert diagrams.printed(text) != text


def test_every_state_and_event_stands_in_the_diagram():
    (made, reclaim) = diagrams.diagrams().values()
    assert all(name in made for name in session_table.STATES + session_table.EVENTS)
    assert "trim --> downsample: no-work" in reclaim
