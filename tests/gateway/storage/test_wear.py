"""Flash wear: the rate, the date, and what an eMMC tells of its own life."""

from datetime import UTC, datetime

import pytest

from gateway.storage import wear

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = {"process": {"up_s": 86400}, "journal": {"device_bytes": 48_000_000, "commits": 8640}}
MOUNTS = """\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 21 179:2 / /var/lib/wattproof rw,noatime shared:2 - ext4 /dev/mmcblk0p2 rw,commit=600
31 21 179:3 / /data rw,relatime shared:3 - ext4 /dev/mmcblk0p3 rw,commit=5
32 21 179:4 / /flash rw,relatime - f2fs /dev/mmcblk0p4 rw,background_gc=on
"""


def test_a_rate_counts_blocks_and_an_eighth_for_the_file_system():
    found = wear.rate(DAY, NOW, stamped=False)
    assert (found["bytes_per_day"], found["with_file_system_per_day"]) == (48_000_000, 54_000_000)
    assert found["end_of_life"] > "2100"


def test_a_time_stamp_after_each_commit_counts_as_well():
    found = wear.rate(DAY, NOW, stamped=True)
    assert found["with_file_system_per_day"] == 54_000_000 + 8640 * 12_288


def test_the_date_follows_from_the_rate():
    heavy = {"process": {"up_s": 43_200}, "journal": {"device_bytes": 4 * 10 ** 9, "commits": 1}}
    found = wear.rate(heavy, NOW, stamped=False)        # 9 GB a day of 3,000 GB: 333 days
    assert found["end_of_life"] == "2027-10-22"


def test_without_a_quarter_of_an_hour_there_is_no_rate():
    short = {"process": {"up_s": 600}, "journal": {"device_bytes": 1, "commits": 1}}
    for status in ({}, short):
        assert set(wear.rate(status, NOW, stamped=True).values()) == {None}


def card(folder, name, **files):
    """Make what the kernel shows of a card."""
    device = folder / name / "device"
    device.mkdir(parents=True)
    for file, content in files.items():
        (device / file).write_text(content)


@pytest.mark.parametrize(("life_time", "pre_eol_info", "said"), [
    ("0x01 0x01\n", "0x01\n", []),
    ("0x08 0x02\n", "0x01\n", []),                      # 70 to 80 % used
    ("0x02 0x09\n", "0x01\n", ["80 to 90 % of its life"]),
    ("0x0a 0x01\n", "0x02\n", ["90 to 100 % of its life", "80 % of its spare blocks"]),
    ("0x0b 0x0b\n", "0x03\n", ["more than its life", "90 % of its spare blocks"]),
    ("0x00 0x00\n", "0x00\n", []),                      # not told
])
def test_an_emmc_warns_at_80_percent_of_its_life(life_time, pre_eol_info, said, tmp_path):
    card(tmp_path, "mmcblk0", life_time=life_time, pre_eol_info=pre_eol_info)
    card(tmp_path, "mmcblk1")                           # an SD card tells nothing
    (tmp_path / "loop0").mkdir()
    lines = wear.worn(wear.emmc(tmp_path))
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line and "(mmcblk0)" in line and "next: replace it soon" in line


def test_a_card_that_says_nonsense_tells_nothing(tmp_path):
    card(tmp_path, "mmcblk0", life_time="soon\n")
    assert wear.emmc(tmp_path) == [] and wear.emmc(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("folder", "place"), [
    ("/var/lib/wattproof/journal", ""),                 # rare rounds
    ("/var/lib/other", "/"), ("/data/journal", "/data"), ("/flash/journal", ""),
])
def test_ext4_with_frequent_rounds_is_told_by_its_place(folder, place, tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert wear.stamped(wear.Path(folder), mounts) == place


def test_what_cannot_be_told_costs_no_advice(tmp_path):
    assert wear.stamped(tmp_path, tmp_path / "absent") == ""
