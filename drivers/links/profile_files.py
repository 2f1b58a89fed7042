"""Profiles from profiles/KIND/*.toml, on CPython; boards carry tables compiled from them."""

import functools
import tomllib
from pathlib import Path

from drivers import profile
from drivers.links.registry import NAMES
from gateway.core.errors import ConfigError

FOLDER = Path(__file__).resolve().parent.parent / "profiles"
FILE_BYTES_MAX = 262144         # a profile of 2,000 points; more is not a profile


def names() -> list[str]:
    """Return the stems of all profiles that come with the product, sorted."""
    return sorted(_files())


def _files() -> dict[str, Path]:
    """Return the file of each profile by stem; the folders below FOLDER are kinds of devices."""
    return _files_below(FOLDER)


@functools.cache
def _files_below(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in folder.rglob("*.toml")}


@functools.cache
def find(stem: str) -> profile.Profile:
    """Return the Profile of that name; raises ConfigError with the nearest names."""
    if stem not in names():
        import difflib  # only for whoever has mistyped a name
        near = difflib.get_close_matches(stem, names(), 3, 0.4) or names()
        raise ConfigError(f"profile {stem!r} does not exist; did you mean: {', '.join(near)}?")
    return load(_files()[stem])


def load(path: Path) -> profile.Profile:
    """Return the Profile in a TOML file; raises ConfigError naming file and place."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    made = profile.make(path.stem, table)
    for name in made.transport.buses:
        profile.one_of(f"{path.stem} [transport]", "buses", name, NAMES)
    return made
