"""Live figures from latest scans: signs by role, rates, staleness, and honest nulls."""

import hashlib
import json
from pathlib import Path
from random import Random

import pytest

from fleet.ingest.live_table import unpack
from gateway.config import load as config
from gateway.core import measurand
from gateway.core.live_dictionary import DICTIONARY
from gateway.core.reading import CLOCK_NTP, NOT_ASKED, REFUSED, Absent, ClockState, Scan
from gateway.delivery.live_codec import pack_live
from gateway.ledger.factors import factors
from gateway.ledger.flows.inventory import Inventory
from gateway.live.figures import LiveSite, Moment, figure
from tests.support.cabinet_folder import make_folder

ROOT = Path(__file__).parents[3]
NOON_MS = 1_780_315_200_000             # 2026-06-01T12:00:00Z
CLOCK = ClockState(CLOCK_NTP, 0, NOON_MS, 50)
JOURNAL = {"durable_seq": 7, "acknowledged_seq": 5, "batches_waiting": 1, "state": "ok"}


@pytest.fixture
def live(tmp_path):
    """Return the live figures of the example cabinet."""
    return LiveSite(config.load(make_folder(tmp_path)), factors.load("de-2024-direct-duck-1"))


def scan(live, device, ticks_ms, values):
    """Return a scan of a device: values by measurand (or (measurand, item)), else absent."""
    names = [stream.device for stream in live.cabinet.schema]
    stream = names.index(device)
    row = []
    for point in live.cabinet.schema[stream].points:
        name = measurand.BY_ID[point.measurand].name
        key = name if not point.item else (name, point.item)
        value = values.get(key)
        row.append(Absent(4) if value is None else round(value * 10 ** -point.exponent))
    return Scan(stream, ticks_ms, tuple(row))


def power(live, ticks_ms, **watts):
    """Take one scan per device with these powers; names with _ for -."""
    live.latest_figures.add([scan(live, name.replace("_", "-"), ticks_ms,
                                  {"power_active_total": value}) for name, value in watts.items()])


def all_powers(live, ticks_ms, **changes):
    """Take a whole site: 1000 W PV, 200 W charging, the rest adds up."""
    watts = {"grid": -80, "pv": 1000, "battery_meter": 200, "node_1_meter": 300,
             "node_2_meter": 200, "cooling": 100, "lighting": 50, "other": 60}
    power(live, ticks_ms, **(watts | changes))


def node(live, ticks_ms, name, cpu_s, tasks):
    """Take a scan of a node."""
    live.latest_figures.add([scan(live, name, ticks_ms, {
        "cpu_time": cpu_s, "cpu_cores": 32, "tasks_running": 4, "tasks_total": tasks,
        ("cpu_time", "pos"): cpu_s / 2, ("cores_reserved", "pos"): 8,
        ("cpu_time", "vision"): cpu_s / 4, ("cores_reserved", "vision"): 8,
        ("cpu_time", "batch"): cpu_s / 2, ("cores_reserved", "batch"): 16,
        ("cpu_time", "cache"): cpu_s / 4, ("cores_reserved", "cache"): 4})])


def message(live, ticks_ms):
    """Return the message of a moment."""
    return live.message(Moment(ticks_ms, CLOCK, 3, 7, JOURNAL))


def test_powers_have_the_signs_of_the_page(live):
    all_powers(live, 1000)
    said = message(live, 2000)
    assert said["power_w"] == {
        "grid": -80, "pv": 1000, "battery": -200, "genset": None, "it": 500, "cooling": 100,
        "lighting": 50, "other": 60, "residual": pytest.approx(10)}
    assert said["utc"] == "2026-06-01T12:00:02.000Z"
    assert said["clock"] == {"source": "ntp", "uncertainty_s": 0.05}
    assert said["journal"] == JOURNAL and (said["boot"], said["seq"]) == (3, 7)


def test_a_site_on_pv_alone_has_no_direct_carbon_and_is_all_renewable(live):
    all_powers(live, 1000)
    node(live, 1000, "node-1", 100, 10)
    node(live, 1000, "node-2", 100, 10)
    all_powers(live, 11_000)
    node(live, 11_000, "node-1", 180, 15)
    node(live, 11_000, "node-2", 180, 15)
    said = message(live, 12_000)
    assert said["carbon"]["bus_g_per_kwh"] == 0 and said["carbon"]["core_hour_g"] == 0
    assert said["carbon"]["renewable_share_it"] == 1
    first = said["nodes"][0]
    assert first["name"] == "node-1" and first["power_w"] == 300 and first["tasks_running"] == 4
    assert first["cpu_share"] == 0.25           # 80 CPU seconds in 10 s on 32 cores
    assert first["tasks_per_min"] == 30


def test_grid_power_brings_the_grids_carbon(live):
    all_powers(live, 1000, grid=920, pv=0)
    said = message(live, 2000)
    assert said["carbon"]["bus_g_per_kwh"] == pytest.approx(said["carbon"]["grid_g_per_kwh"])
    assert said["carbon"]["renewable_share_it"] == 0


def test_what_was_not_read_is_null_and_never_the_last_value(live):
    all_powers(live, 1000)
    stale_ms = 1000 + 3 * 10_000 + 1
    said = message(live, stale_ms)
    assert set(said["power_w"].values()) == {None}
    metered = {device.name for device in live.cabinet.devices if device.role != "none"}
    assert {d["reason"] for d in said["devices"] if d["name"] in metered} == {"stale"}
    assert [d["reason"] for d in said["devices"] if d["name"] == "bms"] == ["not-read-yet"]
    all_powers(live, stale_ms, cooling=None)
    said = message(live, stale_ms)
    assert said["power_w"]["cooling"] is None and said["power_w"]["residual"] is None
    cooling = next(d for d in said["devices"] if d["name"] == "cooling")
    assert (cooling["ok"], cooling["reason"]) == (False, "not-implemented")
    assert cooling["age_s"] == (stale_ms - 1000) // 1000


def test_a_device_that_is_asked_rarely_keeps_the_reason_why(live):
    stream = [one.device for one in live.cabinet.schema].index("cooling")
    points = len(live.cabinet.schema[stream].points)
    for ticks_ms, reason in ((1000, REFUSED), (2000, NOT_ASKED)):
        live.latest_figures.add([Scan(stream, ticks_ms, (Absent(reason),) * points)])
    cooling = next(d for d in message(live, 2500)["devices"] if d["name"] == "cooling")
    assert (cooling["ok"], cooling["reason"], cooling["age_s"]) == (False, "refused", None)


def test_one_unread_meter_makes_its_role_unknown(live):
    all_powers(live, 1000, node_2_meter=None)
    assert message(live, 1500)["power_w"]["it"] is None


def test_a_counter_that_fell_gives_no_rate(live):
    node(live, 1000, "node-1", 100, 10)
    node(live, 11_000, "node-1", 3, 1)
    assert message(live, 11_500)["nodes"][0]["cpu_share"] is None


def test_the_books_of_the_battery_follow_charging_from_pv(live):
    live.latest_figures.add([scan(live, "bms", 0, {"state_of_charge": 50})])
    for minute in range(61):
        ticks_ms = minute * 60_000
        all_powers(live, ticks_ms)
        live.latest_figures.add([scan(live, "bms", ticks_ms, {"state_of_charge": 50})])
        live.advance(ticks_ms, CLOCK)
    said = message(live, 3_600_000)
    # 200 W for an hour at 0.96, less 10 W of standby; the state of charge first seen, 50 % of
    # 10 kWh, already holds the first minute's 3.2 Wh
    assert said["battery"]["stored_wh"] == pytest.approx(5000 - 3.2 + 192 - 10, abs=0.01)
    assert 0 < said["carbon"]["battery_g_per_kwh"] < 363 * 2
    assert said["battery"]["soc"] == 0.5


def test_a_battery_nobody_has_read_yet_is_unknown_and_not_empty(live):
    live.advance(0, CLOCK)
    live.advance(5_000, CLOCK)              # nothing is committed yet: no power, no charge
    all_powers(live, 10_000, battery_meter=-300, grid=420)
    live.advance(10_000, CLOCK)
    said = message(live, 10_000)
    assert said["battery"] == {"soc": None, "stored_wh": None}
    assert said["carbon"]["battery_g_per_kwh"] is None
    assert said["carbon"]["renewable_share_it"] is said["carbon"]["bus_g_per_kwh"] is None
    live.latest_figures.add([scan(live, "bms", 12_000, {"state_of_charge": 16})])
    live.advance(15_000, CLOCK)
    said = message(live, 15_000)
    assert said["battery"]["soc"] == 0.16
    assert said["battery"]["stored_wh"] == pytest.approx(1600, abs=0.1)     # of 10 kWh
    assert said["carbon"]["battery_g_per_kwh"] > 0


def test_a_battery_at_rest_leaves_the_mix_known_before_its_charge_is(live):
    all_powers(live, 1000, battery_meter=0, grid=-280)
    said = message(live, 2000)
    assert said["battery"]["stored_wh"] is None
    assert said["carbon"]["renewable_share_it"] == 1 and said["carbon"]["bus_g_per_kwh"] == 0


def test_a_shops_live_messages_of_a_day_fit_their_budget(live):
    random = Random(1)
    for ticks_ms in (1000, 11_000):
        all_powers(live, ticks_ms, **{name: random.randrange(9000) for name in (
            "grid", "pv", "battery_meter", "node_1_meter", "node_2_meter", "cooling", "other")})
        live.latest_figures.add([
            scan(live, "bms", ticks_ms, {"state_of_charge": 61.3}),
            scan(live, "climate", ticks_ms, {"temperature": 24.73, "humidity": 41.9})])
        for name in ("node-1", "node-2"):
            node(live, ticks_ms, name, ticks_ms / 100 + random.random(), ticks_ms / 300)
        live.advance(ticks_ms, CLOCK)
    said = message(live, 12_345)
    assert None not in (said["carbon"]["core_hour_g"], said["battery"]["stored_wh"],
                        said["climate"][0]["humidity"], said["nodes"][1]["cpu_share"])
    data = pack_live(json.dumps(said, separators=(",", ":"), allow_nan=False).encode())
    commits_a_day = 86_400 / 9          # one each loss window of 10 s, begun at nine tenths
    assert len(data) * commits_a_day <= 3_000_000
    assert json.loads(unpack(data)) == said


def test_the_bytes_of_a_live_message_and_its_dictionary_never_change():
    text = (b'{"v":1,"device":"shop-1","boot":3,"seq":7,"utc":"2026-06-01T12:00:02.000Z",'
            b'"clock":{"source":"ntp","uncertainty_s":0.05}}')
    golden = bytes.fromhex("012394238ca139c21c254b1800916188a1113063581918919e374c6b6b01")
    assert unpack(golden) == text == unpack(pack_live(text))
    digest = hashlib.sha256(DICTIONARY).hexdigest()
    assert digest == "725ec8af17e6d07ff247c3a2f25ac28cc309e24171e6abf5803fd519e5af9ece"
    assert digest in (ROOT / "docs/formats.md").read_text()


@pytest.mark.parametrize("value", [0.0, -80.0, 12345.678, -0.66914, 363.0, 1e-7, 99999.5])
def test_a_figure_has_five_digits_and_no_point_where_it_is_whole(value):
    shown = figure(value)
    assert abs(shown - value) <= abs(value) * 0.5e-4
    assert len(json.dumps(shown).strip("-0.").replace(".", "").split("e")[0]) <= 5 or shown > 99999
    assert isinstance(shown, int) == (shown == int(shown))


def test_ct_ratio_multiplies_powers_only(tmp_path):
    from tests.support.cabinet_folder import EXAMPLE
    text = EXAMPLE.read_text().replace(
        "rated_w = 17000", 'rated_w = 17000\nct_ratio = 20\nct_class = "0.5"')
    live = LiveSite(config.load(make_folder(tmp_path, text)),
                    factors.load("de-2024-direct-duck-1"))
    live.latest_figures.add([scan(live, "grid", 0, {"power_active_total": 10, "frequency": 50})])
    assert live.powers_w(1)["grid"] == 200
    assert live.latest_figures.value("grid", "frequency", 1) in (None, 50)


def test_the_clock_gets_the_air_temperature_that_is_worst_for_a_crystal(live):
    assert live.latest_figures.temperature_c(0) is None
    live.latest_figures.add([scan(live, "climate", 1000, {"temperature": -31.5, "humidity": 40})])
    assert live.latest_figures.temperature_c(1000) == -31.5
    assert live.latest_figures.temperature_c(10_000_000) is None           # stale is not known


def test_a_restarted_gateway_goes_on_with_the_content_it_carried(live):
    held = Inventory(5000.0, 100.0, {"pv": 5000.0})
    again = LiveSite(live.cabinet, live.factors, held)
    assert message(again, 1000)["carbon"]["battery_g_per_kwh"] == 20.0
    assert again.battery_checkpoint() is None  # nothing booked yet: no time to keep
    again.advance(1000, CLOCK)
    assert again.battery_checkpoint()["energy_wh"] == 5000.0
