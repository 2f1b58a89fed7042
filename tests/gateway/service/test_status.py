"""Status words: each trouble has its word, and each word its next step."""

import pathlib

from gateway.service import status

DOC = pathlib.Path(__file__).resolve().parents[3] / "docs" / "operations.md"
FINE = {"state": "running", "stalled": [], "journal": {"state": "ok"},
        "uplink": {"state": "online"}, "buses": [{"fault": ""}],
        "devices": [{"state": "ok"}], "clock": {"source": "ntp"}}


def test_each_trouble_has_its_word():
    for change, word in (
            ({}, "ok"), ({"state": "stopped"}, "stopped"), ({"stalled": ["bus:a"]}, "stalled"),
            ({"journal": {"state": "degraded-ram"}}, "journal-degraded"),
            ({"journal": {"state": "full"}}, "journal-degraded"),
            ({"journal": {"state": "read-only"}}, "journal-read-only"),
            ({"journal": {"state": "unreadable"}}, "journal-unreadable"),
            ({"journal": {"state": "full", "foreign_bytes": 5}}, "disk-full"),
            ({"journal": {"state": "ok", "reserve": "spent", "foreign_bytes": 5}}, "disk-full"),
            ({"journal": {"state": "ok", "reserve": "spent"}}, "flash-full"),
            ({"uplink": {"state": "offline"}}, "uplink-offline"),
            ({"uplink": {"state": "rejected"}}, "uplink-rejected"),
            ({"uplink": {"state": "online", "receipts_word": "fine"}}, "ok"),
            ({"uplink": {"state": "online", "receipts_word": "catching-up"}}, "catching-up"),
            ({"uplink": {"state": "online", "receipts_word": "receipt-overdue"}},
             "receipt-overdue"),
            ({"uplink": {"state": "offline", "receipts_word": "receipt-overdue"}},
             "uplink-offline"),
            ({"uplink": {"state": "starting"}}, "starting"),
            ({"uplink": {"state": "online", "alarms": ["receipt-fork"]}}, "receipt-fork"),
            ({"uplink": {"state": "online", "alarms": ["receipt-ahead"]}}, "receipt-ahead"),
            ({"buses": [{"fault": "no such port"}]}, "bus-fault"),
            ({"devices": [{"state": "lost"}]}, "device-lost"),
            ({"above_limit": [{"device": "grid"}]}, "rated-exceeded"), ({"above_limit": []}, "ok"),
            ({"devices": [{"state": "lost", "trouble": "silent"}]}, "device-lost"),
            ({"devices": [{"state": "lost", "trouble": "refuses"}]}, "device-refuses"),
            ({"devices": [{"state": "lost", "trouble": "garbled"}]}, "device-garbled"),
            ({"devices": [{"state": "lost", "trouble": "empty"}]}, "device-empty"),
            ({"clock": {"source": "unknown"}}, "clock-unknown")):
        assert status.conditions(FINE | change) == [word]


def test_a_stop_that_lost_records_says_so():
    stopped = FINE | {"state": "stopped", "journal": {"state": "read-only", "unwritten": 7}}
    assert status.conditions(stopped) == ["stopped", "records-lost"]
    assert status.conditions(FINE
                             | {"state": "stopped", "journal": {"unwritten": 0}}) == ["stopped"]


def test_while_a_journal_cannot_be_read_nothing_is_said_of_what_the_fleet_has():
    said = status.proof({"state": "unreadable", "acknowledged_seq": 0, "durable_seq": 0})
    assert said == "not known while the journal cannot be read"


def test_troubles_add_up_worst_first():
    both = status.conditions(FINE
                             | {"uplink": {"state": "offline"}, "devices": [{"state": "lost"}]})
    assert both == ["uplink-offline", "device-lost"]


def test_the_exit_code_is_one_for_every_word_that_waiting_does_not_cure():
    wait = {"ok", "starting", "uplink-offline", "uplink-unanswered", "catching-up",
            "clock-unknown"}
    for word in status.NEXT:
        assert status.exit_code({"words": [word]}) == (0 if word in wait else 1), word
    assert status.exit_code({"words": ["uplink-offline", "device-lost"]}) == 1


def test_the_manual_gives_the_same_exit_code_for_each_word():
    rows = [line.split("|") for line in DOC.read_text().splitlines() if line.startswith("| `")]
    said = {row[1].strip(" `"): row[2].strip() for row in rows}
    for word in status.NEXT:
        assert said[word] == str(status.exit_code({"words": [word]})), word


def test_every_word_stands_in_the_manual_and_has_a_next_step():
    manual = DOC.read_text()
    for word, step in status.NEXT.items():
        assert f"| `{word}` |" in manual and step
    assert status.BAD <= set(status.NEXT)


def test_status_says_how_far_the_fleet_has_signed():
    for signed, durable, said in (
            (0, 12, "the fleet has signed for nothing yet; 12 newer on flash until it does"),
            (40, 40, "the fleet has signed that it holds every record up to 40"),
            (40, 45, "the fleet has signed that it holds every record up to 40; 5 newer on flash "
                     "until it does")):
        assert status.proof({"acknowledged_seq": signed, "durable_seq": durable}) == said
