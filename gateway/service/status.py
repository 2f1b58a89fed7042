"""`python -m gateway status`: what the running gateway says of itself, and what to do next.

Reads the status file only, so it works beside a running gateway and changes nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.values import CabinetSettings
from gateway.live.battery_checkpoint import STATUS_BYTES_MAX
from gateway.polling import trouble
from gateway.service.receipt_age import FINE

STALE_S = 30.0                  # the file is written every 10 s

# word -> what it means and what to do next; docs/operations.md has the same words
NEXT = {
    "ok": "nothing to do",
    "starting": "wait a minute",
    "stopped": "start it: systemctl start wattproof-gateway",
    "not-running": "start it: systemctl start wattproof-gateway",
    "not-responding": "look at journalctl -u wattproof-gateway; the watchdog restarts it",
    "device-lost": "check the named devices: power, address, wiring",
    "device-refuses": "the named devices answer, but only refuse (their lines say how): check "
                      "profile, address (unit, path) and the device's own settings",
    "device-garbled": "answers of the named devices arrive damaged: check baud rate, parity, "
                      "cable and termination, and that no address is used twice",
    "device-empty": "the named devices answer without any value: check the profile",
    "device-wrong": "another device answers than the profile says, nothing of it is recorded: "
                    "check profile, address and wiring",
    "rated-exceeded": "a meter counts more than its rated_w allows, and that energy is not "
                      "counted: correct rated_w in cabinet.toml, or look at the named meter",
    "bus-fault": "check the named ports and cables",
    "uplink-offline": "wait, data are safe on flash; if it lasts: network and broker",
    "uplink-unanswered": "wait, data are safe on flash; if it lasts: fleet, broker's access list",
    "catching-up": "wait: records without a receipt are being sent",
    "receipt-overdue": "old records have no receipt and none comes: see the fleet's page, what it "
                       "refused, and whether it was restored",
    "uplink-rejected": "a person must look: certificate, enrolment, access list",
    "journal-degraded": "flash does not take writes: free space or replace it, soon",
    "flash-full": "scans are refused and declared until there is room: restore the uplink or "
                  "take a larger card",
    "receipt-fork": "the fleet holds other data under our numbers: look for a second board with "
                    "our key",
    "receipt-ahead": "the fleet has more than this board: was the journal wiped or restored?",
    "clock-unknown": "wait; if it stays, set up NTP: data are kept and placed in time later",
    "stalled": "look at journalctl -u wattproof-gateway; the watchdog restarts it",
}
# words that waiting can cure; every other one needs a person and ends `status` with exit code 1
WAIT = frozenset({"ok", "starting", "uplink-offline", "uplink-unanswered", "catching-up",
                  "clock-unknown"})
BAD = frozenset(NEXT) - WAIT
Status = Mapping[str, Any]      # as JSON: docs/operations.md explains the keys
# how a device is lost (gateway/polling/trouble.py) -> word
LOST_WORDS = {trouble.SILENT: "device-lost", trouble.REFUSES: "device-refuses",
              trouble.GARBLED: "device-garbled", trouble.EMPTY: "device-empty"}
ALARMS = ("receipt-fork", "receipt-ahead")      # of the uplink, until the next start


def conditions(status: Status) -> list[str]:
    """Return the words that describe a status, worst first; ["ok"] if there is nothing."""
    if status.get("state") == "stopped":
        return ["stopped"]
    found = []
    if status.get("stalled"):
        found.append("stalled")
    if status.get("journal", {}).get("state", "ok") != "ok":
        found.append("journal-degraded")
    if status.get("journal", {}).get("reserve") == "spent":
        found.append("flash-full")
    raised = status.get("uplink", {}).get("alarms", ())
    found += [alarm for alarm in ALARMS if alarm in raised]
    uplink = status.get("uplink", {}).get("state")
    found += [f"uplink-{uplink}"] if uplink in (
        "offline", "unanswered", "rejected") else []
    if uplink == "online" and status.get("uplink", {}).get("receipts_word", FINE) != FINE:
        found.append(status["uplink"]["receipts_word"])
    if any(bus.get("fault") for bus in status.get("buses", ())):
        found.append("bus-fault")
    lost = {device.get("trouble") for device in status.get("devices", ())
            if device.get("state") == "lost"}
    found += [word for word in LOST_WORDS.values() if word in {
        LOST_WORDS.get(str(trouble), "device-lost") for trouble in lost}]
    if status.get("above_limit"):
        found.append("rated-exceeded")
    if any(device.get("state") == "wrong" for device in status.get("devices", ())):
        found.append("device-wrong")
    if status.get("clock", {}).get("source") == "unknown":
        found.append("clock-unknown")
    if not found and uplink == "starting":
        return ["starting"]
    return found or ["ok"]


def read(cabinet: CabinetSettings, unix_s: float) -> Status:
    """Return the status of a cabinet; without a fresh file a status that says why."""
    path = cabinet.status_file
    try:
        data = path.read_bytes()[:STATUS_BYTES_MAX]
        status = json.loads(data)
        age_s = unix_s - float(status["written_unix_s"])
    except OSError as error:
        return {"state": "unknown", "words": ["not-running"],
                "detail": f"{path}: {error.strerror}"}
    except (ValueError, KeyError, TypeError):
        return {"state": "unknown", "words": ["not-running"],
                "detail": f"{path} is not a status file"}
    if status.get("state") != "stopped" and age_s > STALE_S:
        status["words"] = [_silence(status)]
        status["detail"] = f"the last sign of life is {age_s:.0f} s old"
    return dict(status)


def _silence(status: Status) -> str:
    """Tell a gateway that hangs from one that is gone."""
    pid = status.get("pid")
    alive = isinstance(pid, int) and Path(f"/proc/{pid}").exists()
    return "not-responding" if alive else "not-running"


def exit_code(status: Status) -> int:
    """Return 1 if any word of a status needs a person, 0 if waiting can cure it."""
    return 1 if BAD & set(status.get("words", ())) else 0


def text(status: Status) -> str:
    """Return a status as lines for people, 100 columns at most."""
    lines = [f"{word:<18} next: {NEXT.get(word, 'see docs/operations.md')}"
             for word in status.get("words", ())]
    if status.get("detail"):
        lines.append(str(status["detail"]))
    if "journal" in status:
        lines += _details(status)
    return "\n".join(lines)


def proof(journal: Status) -> str:
    """Return how far the fleet has signed for what this gateway measured, as a sentence."""
    signed, durable = journal["acknowledged_seq"], journal["durable_seq"]
    said = (f"the fleet has signed that it holds every record up to {signed}" if signed
            else "the fleet has signed for nothing yet")
    left = durable - signed
    return f"{said}; {left} newer on flash until it does" if left > 0 else said


def _details(status: Status) -> list[str]:
    journal, uplink, process = status["journal"], status["uplink"], status["process"]
    clock = status["clock"]
    lines = [
        "",
        f"cabinet   {status['cabinet']}  boot {journal['boot']}  config {status['config'][:12]}",
        f"clock     {clock['utc'] or 'not known'}  {clock['source']}, "
        f"+-{clock['uncertainty_s']:g} s",
        f"journal   {journal['state']}  durable {journal['durable_seq']}  "
        f"acknowledged {journal['acknowledged_seq']}  batches waiting "
        f"{journal['batches_waiting']}",
        f"proof     {proof(journal)}",
        f"flash     {journal['device_bytes']} device bytes, {journal['syncs']} syncs, "
        f"{journal['commits']} commits since the start",
        f"room      batches {journal['batches_bytes'] / 1e6:.1f} MB, reserve {journal['reserve']}, "
        f"{journal['coarsened_batches']} batches made coarser since the start",
        f"uplink    {uplink['state']}  {uplink['reason']}".rstrip(),
        f"sent      {uplink['evidence_bytes']} evidence bytes in {uplink['batches_sent']} "
        f"batches, {uplink['live_bytes']} live bytes",
        f"process   {process['rss_kib'] / 1024:.1f} MiB, {process['cpu_s']:.1f} s CPU in "
        f"{process['up_s']:.0f} s", ""]
    lines += [f"bus       {bus['name']:<16} scans {bus['scans']:<8} skipped {bus['skipped']:<6} "
              f"missed {bus['missed_slots']:<5} crashes {bus['crashes']}  {bus['fault']}".rstrip()
              for bus in status["buses"]]
    lines += [f"limit     {one['device']:<16} {one['set_aside_wh']:,.0f} Wh not counted: above "
              f"rated_w = {one['rated_w']} W plus 5 %, at up to {one['power_w_max']:,} W"
              for one in status.get("above_limit", ())]
    lines += [f"device    {device['name']:<16} {device['state']:<7} "
              f"{device['error']}".rstrip()[:100] for device in status["devices"]]
    return lines
