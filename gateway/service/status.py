"""`python -m gateway status`: what the running gateway says of itself, and what to do next.

Looks at the process first (liveness.py), then at the status file; it works beside a running
gateway and changes nothing.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.values import CabinetSettings
from gateway.core.journal.policy import READ_ONLY, UNREADABLE
from gateway.live.battery_checkpoint import STATUS_BYTES_MAX
from gateway.polling import trouble
from gateway.service import liveness
from gateway.service.receipt_age import FINE

STALE_S = 30.0                  # the file is written every 10 s
AHEAD_S = 1.0                   # a stamp may be so much later than now
START_S = 60.0                  # a process so young may not have written it yet

# word -> what it means and what to do next; docs/operations.md has the same words
NEXT = {
    "ok": "nothing to do",
    "starting": "wait a minute",
    "stopped": "start it: systemctl start wattproof-gateway",
    "not-running": "start it: systemctl start wattproof-gateway",
    "status-not-written": "the gateway runs, but [status] file is not written: is its disk full or "
                          "read-only, its folder another user's?",
    "records-lost": "records that flash did not take were lost when it stopped: "
                    "python -m gateway check cabinet.toml says what the journal's folder needs",
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
    "journal-read-only": "records wait in memory and are lost at a power cut, soon: mount the disk "
                         "writable, or give the journal's files to the gateway's user; it goes on "
                         "by itself",
    "journal-unreadable": "records wait in memory, no new journal begins: give the journal's files "
                          "to the gateway's user, or mount the disk; it goes on by itself",
    "disk-full": "other files fill the journal's disk, the journal is small: delete or move what "
                 "is not Wattproof's",
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
    journal = status.get("journal", {})
    if status.get("state") == "stopped":
        return ["stopped", *(["records-lost"] if journal.get("unwritten") else [])]
    found = []
    if status.get("stalled"):
        found.append("stalled")
    found += _flash_words(journal)
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


def _flash_words(journal: Status) -> list[str]:
    """Return what flash does not do."""
    state = journal.get("state", "ok")
    is_full = journal.get("reserve") == "spent" or state == "full"
    if is_full and journal.get("foreign_bytes"):
        return ["disk-full"]
    words = {"ok": [], READ_ONLY: ["journal-read-only"], UNREADABLE: ["journal-unreadable"]}
    found = words.get(state, ["journal-degraded"])
    return found + ["flash-full"] if journal.get("reserve") == "spent" else found


def read(cabinet: CabinetSettings, unix_s: float, up_s: float | None = None,
         proc: Path = liveness.PROC) -> Status:
    """Return the status of a cabinet; without a living process or a fresh file one that says why.

    unix_s, up_s: now, as UNIX time and on the machine's monotonic clock.  proc: /proc.
    """
    path = cabinet.status_file
    try:
        status = json.loads(path.read_bytes()[:STATUS_BYTES_MAX])
        pid, stamp_s = int(status["pid"]), float(status["written_unix_s"])
        state, was_up_s = status["state"], status.get("written_up_s")
    except OSError as error:
        return _without_file(cabinet, proc, f"{path}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        return _without_file(cabinet, proc, f"{path} is not a status file")
    if state == "stopped" or not _is_alive(status, pid, proc):
        other = _without_file(cabinet, proc, f"process {pid} is gone")
        return dict(status) if state == "stopped" and other["words"] == ["not-running"] else {
            **status, **other}
    # By the monotonic clock of the boot that both share; a wall clock may have been set.
    age_s = unix_s - stamp_s if was_up_s is None or up_s is None else up_s - float(was_up_s)
    if not -AHEAD_S <= age_s <= STALE_S:
        status["words"] = ["not-responding" if _can_be_written(path) else "status-not-written"]
        status["detail"] = (f"the last sign of life is {age_s:.0f} s old" if age_s > 0 else
                            f"the status file is stamped {-age_s:.0f} s in the future")
    return dict(status)


def _is_alive(status: Status, pid: int, proc: Path) -> bool:
    """Return whether the very process that wrote a status is there."""
    mark = liveness.mark(pid, proc)
    return bool(mark) and status.get("process_mark", mark) == mark


def _without_file(cabinet: CabinetSettings, proc: Path, detail: str) -> dict[str, object]:
    """Return what can be said when no status file speaks for a living process."""
    pid = liveness.holder(cabinet.journal.directory, proc)
    if not pid:
        return {"state": "unknown", "words": ["not-running"], "detail": detail}
    age_s = liveness.age_s(pid, proc)
    word = "starting" if age_s is None or age_s < START_S else "status-not-written"
    return {"state": "unknown", "words": [word],
            "detail": f"{detail}; process {pid} has the journal open"}


def _can_be_written(path: Path) -> bool:
    """Return whether the disk of a status file takes files at all."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return not disk.f_flag & os.ST_RDONLY and disk.f_bavail > 0


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
    if journal.get("state") == UNREADABLE:
        return "not known while the journal cannot be read"
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
        *([f"refused   {journal['reason']}"] if journal.get("reason") else []),
        *([f"lost      {journal['unwritten']} records, at the stop"]
          if status["state"] == "stopped" and journal.get("unwritten") else []),
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
