"""Whether the keys of a cabinet.toml are what the gateway needs: opened as a start would.

For `check` only: `status` runs as users who may not read keys, and a start opens them anyway.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.aio.toml_check import Document, Values
from gateway.config.checks import readable_fault
from gateway.core.errors import ConfigError
from gateway.signer import EvidenceSigner, Verifier, permission_fault
from gateway.tls import tls_context


class _Files(NamedTuple):
    ca: Path
    certificate: Path
    key: Path


def check_keys(document: Document, values: Values, folder: Path) -> None:
    """Add a mistake for each key or certificate that a start would refuse.

    Files that cannot be read at all are left out: those are told already.
    """
    evidence = _usable(values, folder, "keys", "evidence")
    receipt = _usable(values, folder, "uplink", "receipt_key")
    if evidence:
        _try(document, ("keys", "evidence"), lambda: EvidenceSigner.load(evidence))
    if receipt:
        _try(document, ("uplink", "receipt_key"), lambda: Verifier.load(receipt))
    ca, certificate, key = (_usable(values, folder, "uplink", name)
                            for name in ("ca", "certificate", "key"))
    if ca and certificate and key:
        _check_tls(document, ca, certificate, key)
    if certificate:
        _check_name(document, values, certificate)


def _check_tls(document: Document, ca: Path, certificate: Path, key: Path) -> None:
    files = _Files(ca, certificate, key)
    _try(document, ("uplink", "certificate"), lambda: tls_context(files))


def _check_name(document: Document, values: Values, certificate: Path) -> None:
    from gateway.config.certificate import names_in  # some MiB that a start does without
    cabinet = values.get("site", {}).get("cabinet")
    names = names_in(certificate.read_bytes())
    if not cabinet or names is None or names == [cabinet]:
        return
    document.fault(("site", "cabinet"), f'"{cabinet}" is not the name in {certificate}, which is '
                   f"made for {', '.join(map(repr, names)) or 'nobody'}; allowed: the "
                   "certificate's name, for the broker lets no other publish; next: write that "
                   f'name, or request a certificate for "{cabinet}"')


def _usable(values: Values, folder: Path, table: str, name: str) -> Path | None:
    """Return the path of a file that can be opened, or None."""
    written = values.get(table, {}).get(name)
    if not written:
        return None
    path = folder / written
    private = (table, name) in (("keys", "evidence"), ("uplink", "key"))
    fault = readable_fault(path) or (permission_fault(path) if private else "")
    return None if fault else path


def _try(document: Document, path: tuple[str, str], load: Callable[[], object]) -> None:
    try:
        load()
    except ConfigError as error:
        document.fault(path, str(error))
