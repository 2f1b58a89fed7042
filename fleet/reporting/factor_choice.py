"""Which factor set a report is made with: the site's own by its hash, never another in silence.

A site's configuration names its set by id and SHA-256 (docs/formats.md section 16).  The fleet has
the packaged sets and those in DATA/factors.  A set that somebody asked for instead (--factors, or
[factors] id in fleet.toml) is used with a note that says so.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from fleet.errors import ReportError
from fleet.texts import say
from gateway.core.errors import ConfigError
from gateway.ledger.counter_limits import Descriptor
from gateway.ledger.factors import factors

FOLDER = "factors"              # of the fleet's data: sets beside the packaged ones
DEFAULT = "de-2024-direct-duck-1"


class Chosen(NamedTuple):
    """A set with its file; note: what a reader must be told about the choice, or ""."""

    factors: factors.FactorSet
    path: Path
    note: str = ""


def choose(data: Path, asked: str | None, descriptor: Descriptor) -> Chosen:
    """Return the set for a site; asked: id or file that a person named, None for the site's own.

    Raises ReportError when the fleet does not hold what the site is configured with.
    """
    name, digest = descriptor.get("factor_set"), descriptor.get("factor_sha256")
    if asked:
        found = Chosen(factors.load(asked), Path(asked)) if asked.endswith(".toml") else _named(
            data, asked)
        same = found.factors.sha256 == digest if digest else name in (None, found.factors.id)
        return found if same else found._replace(note=say(
            "factors_note.other", used=found.factors.id, used_sha256=found.factors.sha256,
            site=name, site_sha256=digest or say("factors_note.no_hash")))
    if not digest:
        return _named(data, str(name or DEFAULT))
    for path in _files(data, str(name)):
        held = _held(path)
        if held is not None and held.sha256 == digest:
            return Chosen(held, path)
    raise ReportError(say("refusal.factors", name=name, sha256=digest, folder=data / FOLDER))


def changes(descriptors: Iterable[Descriptor], used: str) -> list[str]:
    """Return what to tell of a period in which the site was configured with several sets."""
    names = {(one.get("factor_set"), one.get("factor_sha256")) for one in descriptors}
    hashed = {name for name, digest in names if digest}
    names = {(name, digest) for name, digest in names if digest or name not in hashed}
    return [say("factors_note.several", used=used)] if len(names) > 1 else []


def _named(data: Path, name: str) -> Chosen:
    for path in _places(data, name):
        if path.is_file():
            return Chosen(factors.load(path), path)
    known = ", ".join(sorted({path.stem for path in _files(data, "")}))
    raise ReportError(say("refusal.no_factors", name=name, known=known))


def _places(data: Path, name: str) -> tuple[Path, ...]:
    """Return where a set of this id lies; a text that is no id names no file."""
    return (factors.DATA / f"{name}.toml", data / FOLDER / f"{name}.toml") \
        if Path(name).name == name else ()


def _files(data: Path, first: str) -> Iterator[Path]:
    """Yield the files of all sets, those with this id before the others."""
    likely = [path for path in _places(data, first) if path.is_file()]
    yield from likely
    for folder in (factors.DATA, data / FOLDER):
        yield from (path for path in sorted(folder.glob("*.toml")) if path not in likely)


def _held(path: Path) -> factors.FactorSet | None:
    """Return the set in a file, None if it is none: another one may be the one looked for."""
    try:
        known = path.stat()
        return _read(path, known.st_mtime_ns, known.st_size)
    except (OSError, ConfigError):
        return None


@lru_cache(maxsize=16)
def _read(path: Path, _mtime_ns: int, _bytes: int) -> factors.FactorSet:
    return factors.load(path)
