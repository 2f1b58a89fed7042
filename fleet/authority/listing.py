"""What the fleet knows of its cabinets as members: who may join in, until when, what waits."""

import datetime
from pathlib import Path
from typing import NamedTuple

from fleet.authority import downlink, issue
from fleet.formats.registry import Registry


class Member(NamedTuple):
    """One enrolled cabinet.  revoked: when, or empty.  valid_until: end of its newest certificate.
    waiting: actions in its downlink, oldest first.  last: action and outcome of the last message
    that it answered, or None."""

    cabinet: str
    site: str
    revoked: str
    valid_until: datetime.datetime | None
    waiting: list[str]
    last: tuple[str, str] | None


def members(data: Path) -> list[Member]:
    """Return all cabinets, in order of site and name; raises ConfigError or FormatError."""
    found = []
    for site, cabinets in Registry(data).sites().items():
        for name, revoked in ((one.id, one.revoked) for one in cabinets):
            held, done = issue.issued(data, name), downlink.settled(data, name)
            found.append(Member(
                name, site, revoked, held[-1].not_valid_after_utc if held else None,
                [downlink.content_of(file).action for _, file in downlink.waiting(data, name)],
                (downlink.content_of(done[-1][1]).action, done[-1][1].suffix[1:])
                if done else None))
    return found


def line(member: Member) -> str:
    """Return a member as a line for people."""
    until = f"{member.valid_until:%Y-%m-%d}" if member.valid_until else "none"
    parts = [f"{member.site:<16} {member.cabinet:<16}",
             f"revoked at {member.revoked}" if member.revoked else f"certificate until {until}"]
    if member.last:
        parts.append("last message {}: {}".format(*member.last))
    if member.waiting:
        parts.append(f"waiting: {', '.join(member.waiting)}")
    return ", ".join(parts)
