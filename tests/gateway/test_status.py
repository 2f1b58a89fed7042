"""Status words: each trouble has its word, and each word its next step."""

import pathlib

from gateway import status

DOC = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operations.md"
FINE = {"state": "running", "stalled": [], "journal": {"state": "ok"},
        "uplink": {"state": "online"}, "buses": [{"fault": ""}],
        "devices": [{"state": "ok"}], "clock": {"source": "ntp"}}


def test_each_trouble_has_its_word():
    for change, word in (
            ({}, "ok"), ({"state": "stopped"}, "stopped"), ({"stalled": ["bus:a"]}, "stalled"),
            ({"journal": {"state": "degraded-ram"}}, "journal-degraded"),
            ({"journal": {"state": "full"}}, "journal-degraded"),
            ({"uplink": {"state": "offline"}}, "uplink-offline"),
            ({"uplink": {"state": "rejected"}}, "uplink-rejected"),
            ({"uplink": {"state": "starting"}}, "starting"),
            ({"buses": [{"fault": "no such port"}]}, "bus-fault"),
            ({"devices": [{"state": "lost"}]}, "device-lost"),
            ({"clock": {"source": "unknown"}}, "clock-unknown")):
        assert status.words(FINE | change) == [word]


def test_troubles_add_up_worst_first_and_only_some_need_a_person_now():
    both = status.words(FINE | {"uplink": {"state": "offline"}, "devices": [{"state": "lost"}]})
    assert both == ["uplink-offline", "device-lost"]
    assert status.exit_code({"words": both}) == 0
    assert status.exit_code({"words": ["device-lost", "journal-degraded"]}) == 1


def test_every_word_stands_in_the_manual_and_has_a_next_step():
    manual = DOC.read_text()
    for word, step in status.NEXT.items():
        assert f"| `{word}` |" in manual and step
    assert status.BAD <= set(status.NEXT)
