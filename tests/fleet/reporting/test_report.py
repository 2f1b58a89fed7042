"""Reports of the paper shop: energies known by hand, questions without an answer, evidence."""

import json
import sqlite3

import pytest

from fleet.__main__ import main
from fleet.reporting import report, report_charts
from fleet.store.reader import StoreReader
from gateway.core.codec import record
from gateway.core.reading import CLOCK_UNKNOWN, ClockState
from tests.fleet.maker import ORIGIN_MS, SCHEMA, UNCERTAINTY_MS, PaperGateway
from tests.support.documented_keys import keys, keys_in

HOUR = "2026-06-01T0{}:00:00Z"
MIDNIGHT, TWO = HOUR.format(0), HOUR.format(2)


@pytest.fixture
def shop(ingest, gateway):
    """A shop with nine quarter hours from midnight on: two hours can be accounted."""
    for _ in range(9):
        assert ingest.process_one("shop-1", gateway.seal()).code == "admit"
    return gateway


def ask(tmp_path, start=MIDNIGHT, end=TWO, *more):
    """Return (exit code, report or None) of the report command."""
    out = tmp_path / "report.json"
    code = main(["report", "--data", str(tmp_path), "--site", "shop", "--from", start, "--to", end,
                 "--format", "json", "--out", str(out), *more])
    return code, json.loads(out.read_text()) if code == 0 else None


def test_energies_are_power_times_time(shop, tmp_path):
    _, found = ask(tmp_path)
    # Two hours of: grid 720 W, PV 1440 W; IT 360 + 180, cooling 180, lighting 360, other 360,
    # battery charging 720.
    assert found["energy_wh"].pop("genset") is None
    assert {role: round(wh, 6) for role, wh in found["energy_wh"].items()} == {
        "grid_import": 1440, "grid_export": 0, "pv": 2880, "battery_charge": 1440,
        "battery_discharge": 0, "it": 1080, "cooling": 360, "lighting": 720,
        "other": 720, "residual": 0}


def test_compute_figures_follow_from_reservations_and_tasks(shop, tmp_path):
    _, found = ask(tmp_path)
    # Three workloads with 8 cores each for two hours; 8 CPU seconds per second each.
    assert found["compute"]["reserved_core_hours"] == pytest.approx(48)
    assert found["compute"]["used_core_hours"] == pytest.approx(48)
    assert found["compute"]["tasks"] == pytest.approx(3 * 60, abs=3)
    assert found["renewable_share_it"] == pytest.approx(1440 / 2160)


def test_each_meter_states_its_energy_and_how_wrong_it_can_be(shop, tmp_path):
    _, found = ask(tmp_path)
    meters = {(row["device"], row["measurand"]): row for row in found["meters"]}
    grid = meters["grid", "energy_active_import_total"]
    assert grid["energy_wh"] == pytest.approx(1440)
    # Two steps of 1 Wh; between two polls of 10 s up to 2 Wh at either end, once exactly on a
    # reading; 0.2 Wh/s x 1 s of clock, plus one count per poll of slack.
    assert 2 <= grid["bound_wh"] <= 2 + 2 + 2 * (0.3 * UNCERTAINTY_MS / 1000)
    assert grid["role"] == "grid"


def test_evidence_counts_what_is_behind_the_period(shop, tmp_path):
    _, found = ask(tmp_path)
    evidence = found["evidence"]
    assert evidence["batches"] == 8
    assert evidence["records"] == 8 * 90 * len(SCHEMA) + 1      # and one CONFIG event
    assert (evidence["gaps"], evidence["chain_ok"], evidence["coverage"]) == (0, True, 1.0)
    assert found["quality"] == {"measured": 1.0, "estimated": 0.0, "missing": 0.0}


def test_both_documents_name_every_key_of_a_report(shop, tmp_path):
    _, found = ask(tmp_path)
    told = keys_in(found, ("origins_wh", "flags", "unread", "nodes", "refused", "carbon_g"))
    told |= keys_in(found["carbon_g"])
    assert len(told) > 90
    assert told - keys("formats.md", "19. Statement") == set()
    by_role_and_method = set(found["energy_wh"]) | set(found["methods"])
    assert told - by_role_and_method - keys("accounting.md", "17. Keys of report.json") - set(
        keys_in(found["evidence"]["gap_list"] + found["evidence"]["journals"])) == set()


def test_the_period_is_given_back_as_asked_and_factors_are_pinned(shop, tmp_path):
    _, found = ask(tmp_path, HOUR.format(1))
    assert (found["from"], found["to"]) == (HOUR.format(1), HOUR.format(2))
    assert found["energy_wh"]["grid_import"] == pytest.approx(720)
    assert len(found["factors"]["sha256"]) == 64 and found["factors"]["estimated"] is True


def test_parts_of_a_day_add_up_to_the_day(shop, tmp_path):
    _, whole = ask(tmp_path)
    halves = [ask(tmp_path, HOUR.format(hour), HOUR.format(hour + 1))[1] for hour in (0, 1)]
    for role, wh in whole["energy_wh"].items():
        parts = [half["energy_wh"][role] for half in halves]
        assert parts == [None, None] if wh is None else sum(parts) == pytest.approx(wh), role
    total = sum(half["carbon_g"]["total"] for half in halves)
    assert total == pytest.approx(whole["carbon_g"]["total"])
    # The second hour knows what the first one put into the battery.
    held, left = halves[1]["battery"]["opening"], halves[0]["battery"]["closing"]
    assert held["carbon_g"] == pytest.approx(left["carbon_g"])
    assert held["origins_wh"] == pytest.approx(left["origins_wh"])


BAD = (
    (("2026-06-01", "2026-06-02T00:00:00Z"), "is not UTC"),
    (("2026-06-01T00:00:00+02:00", "2026-06-02T00:00:00Z"), "is not UTC"),
    (("yesterday", "2026-06-02T00:00:00Z"), "write it like 2026-06-01T00:00:00Z"),
    (("2026-06-01T00:07:00Z", "2026-06-02T00:00:00Z"), "try 2026-06-01T00:00:00Z"),
    (("2026-06-02T00:00:00Z", "2026-06-01T00:00:00Z"), "must lie after"),
    (("2025-06-01T00:00:00Z", "2025-06-02T00:00:00Z"), "there are some from 2026-06-01T00:00:00Z"),
    (("1900-06-01T00:00:00Z", "2025-06-02T00:00:00Z"), "ten years"),
)


@pytest.mark.parametrize(("times", "words"), BAD)
def test_an_impossible_period_is_told_with_the_next_step(times, words, shop, tmp_path, capsys):
    assert ask(tmp_path, *times) == (1, None)
    assert words in capsys.readouterr().err


def test_an_unknown_site_is_told_with_the_known_ones(shop, tmp_path, capsys):
    assert main(["report", "--data", str(tmp_path), "--site", "shap", "--from", HOUR.format(0),
                 "--to", HOUR.format(1)]) == 1
    assert "no site 'shap' is enrolled here; known: shop" in capsys.readouterr().err


def test_a_fleet_without_any_data_says_so(tmp_path, capsys):
    PaperGateway().enrol(tmp_path)
    assert ask(tmp_path) == (1, None)
    assert "nothing was ever received here" in capsys.readouterr().err


def test_an_unknown_factor_set_is_an_error_not_a_zero(shop, tmp_path, capsys):
    assert ask(tmp_path, HOUR.format(0), HOUR.format(1), "--factors", "xx-none") == (1, None)
    assert "xx-none" in capsys.readouterr().err


def test_an_unread_meter_is_missing_and_the_declared_gap_counts_as_covered(ingest, gateway,
                                                                           tmp_path):
    ingest.process_one("shop-1", gateway.seal())
    records = [one for one in gateway.records(900, False) if getattr(one, "stream", None) != 0]
    records = [one._replace(seq=gateway.next_seq + n) for n, one in enumerate(records)]
    start = ORIGIN_MS + 900_000
    records.append(record.EventRecord(records[-1].seq + 1, 1_800_000, record.GAP,
                                      [0, start, start + 900_000, "cable pulled"]))
    ingest.process_one("shop-1", gateway.seal(records))
    for _ in range(3):
        ingest.process_one("shop-1", gateway.seal())
    _, found = ask(tmp_path, HOUR.format(0), HOUR.format(1))
    assert found["evidence"]["gap_list"] == [{
        "device": "grid", "from": "2026-06-01T00:15:00Z", "to": "2026-06-01T00:30:00Z",
        "reason": "cable pulled"}]
    assert found["evidence"]["coverage"] == pytest.approx(1.0)
    # The register went on counting: the gap is bridged, and called estimated, not measured.
    assert found["energy_wh"]["grid_import"] == pytest.approx(720)
    assert found["quality_by_role"]["grid_import"]["estimated"] > 0


def test_a_gap_covers_the_polls_that_fall_into_it_and_silence_is_not_covered(ingest, gateway,
                                                                             tmp_path):
    ingest.process_one("shop-1", gateway.seal())
    gateway.at_s += 29                      # three polls not made: 29 s declared, scans shifted
    late = gateway.records(871, False)
    start = ORIGIN_MS + 900_000
    late.insert(0, record.EventRecord(0, 929_000, record.GAP, [-1, start, start + 29_000, "off"]))
    late = [one._replace(seq=gateway.next_seq + n) for n, one in enumerate(late)]
    ingest.process_one("shop-1", gateway.seal(late, 871))
    _, declared = ask(tmp_path, MIDNIGHT, "2026-06-01T00:30:00Z")
    assert declared["evidence"]["coverage"] == 1.0
    _, ahead = ask(tmp_path, MIDNIGHT, HOUR.format(1))      # half of it has not come yet
    assert ahead["evidence"]["coverage"] == pytest.approx(0.5, abs=0.01)


def test_a_batch_before_the_clock_was_known_is_dated_by_a_later_one(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(clock=ClockState(CLOCK_UNKNOWN, 0, 0, 0)))
    assert StoreReader(tmp_path).span_ms("shop-1") is None
    ingest.process_one("shop-1", gateway.seal())
    assert StoreReader(tmp_path).span_ms("shop-1") == (ORIGIN_MS, ORIGIN_MS + 1_800_000)


def test_batches_wait_for_their_configuration_and_arrival_order_changes_no_figure(
        ingest, gateway, tmp_path):
    sealed = [gateway.seal() for _ in range(9)]
    for one in reversed(sealed):
        ingest.process_one("shop-1", one)
    _, found = ask(tmp_path)
    assert found["energy_wh"]["it"] == pytest.approx(1080)
    assert found["evidence"]["coverage"] == 1.0


def test_the_html_report_needs_nothing_from_elsewhere_and_repeats_byte_for_byte(shop, tmp_path):
    pages = []
    for name in ("a.html", "b.html"):
        main(["report", "--data", str(tmp_path), "--site", "shop", "--from", HOUR.format(0),
              "--to", HOUR.format(2), "--format", "html", "--out", str(tmp_path / name)])
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
    assert pages[0].count("<figure") == 4
    for word in ("http://", "https://", "<script", "src="):
        assert word not in pages[0], word
    for word in ("Factor set", "de-2024-direct-duck-1", "Measured", "unbroken", "perfect mixing"):
        assert word in pages[0], word


def test_a_chart_of_a_month_has_no_more_bars_than_eyes_can_tell_apart(shop):
    reader_slots = [{"start": "2026-06-01T00:00:00Z", "end": "2026-06-01T04:00:00Z",
                     "energy_wh": {"it": 1000.0}, "bus_g_per_kwh": None, "grid_g_per_kwh": 1.0,
                     "g_per_core_hour": None}] * report.BINS_MAX
    assert report_charts.charts(reader_slots, "Europe/Berlin").count("M") < 3000
    assert report_charts.charts([], "UTC") == ""


def test_verify_accepts_what_was_admitted(shop, tmp_path, capsys):
    assert main(["verify", "--data", str(tmp_path), "--site", "shop"]) == 0
    assert "signatures, chain and sequence hold" in capsys.readouterr().out


DAMAGE = (
    ("UPDATE batches SET sealed = CAST(substr(sealed, 1, 200) || x'00' || substr(sealed, 202) "
     "AS BLOB) WHERE number = 4", "batch 4"),
    ("UPDATE batches SET sealed = (SELECT sealed FROM batches WHERE number = 2) WHERE number = 5",
     "stored in a wrong place"),
    ("DELETE FROM batches WHERE number = 3", "records 1982..2971 are missing before batch 4"),
    ("DELETE FROM batches WHERE number = 9", "were acknowledged but are not stored"),
)


@pytest.mark.parametrize(("statement", "words"), DAMAGE)
def test_verify_names_what_was_changed_or_taken_away(statement, words, shop, tmp_path, capsys):
    connection = sqlite3.connect(tmp_path / "fleet.db")
    connection.execute(statement)
    connection.commit()
    assert main(["verify", "--data", str(tmp_path), "--site", "shop"]) == 1
    told = capsys.readouterr().out
    assert words in told and "shop-1" in told and "not proven" in told
