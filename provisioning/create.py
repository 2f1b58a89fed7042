"""Create a cabinet's folder: every file new, secrets for their owner only, nothing half done."""

import datetime
import tempfile
import tomllib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from gateway.aio.private_files import private_folder, replace, write_new
from gateway.config import load as config
from gateway.core.errors import ConfigError
from provisioning import identity
from provisioning import site as sites
from provisioning.site import EVIDENCE_KEY, FOLDERS, TLS_KEY
from provisioning.toml_text import TomlTable


def site(parts: TomlTable, out: Path, now: datetime.datetime) -> list[Path]:
    """Write a cabinet's folder and return the files made; the last one is its request.

    parts: as parts.load gives it.  now: aware time.  Raises ConfigError when any of the files is
    there already (a key is never replaced), and with every mistake when the gateway could not
    run what the parts describe; nothing is made then.
    """
    root = out.resolve()
    text = sites.cabinet_text(parts)
    names = (EVIDENCE_KEY, TLS_KEY, "cabinet.toml", f"{parts['site']['cabinet']}.request")
    there = [name for name in names if (root / name).exists()]
    if there:
        raise ConfigError(f"{root / there[0]} is there already and is not overwritten; "
                          "next: choose another --out, or move the old site away first")
    _check(text, now)
    evidence, tls = identity.new_signing_key(), identity.new_tls_key()
    contents = (identity.private_pem(evidence), identity.private_pem(tls), text.encode(),
                sites.request(parts["site"], evidence, tls, now))
    root.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        private_folder(root / folder)
    for name, content in zip(names, contents, strict=True):
        write_new(root / name, content, mode=0o600 if name.endswith(".key") else 0o644)
    return [root / name for name in names]


def request_again(folder: Path, now: datetime.datetime) -> Path:
    """Write a new request with the keys that a cabinet has, e.g. to renew its certificate by
    file; return its path.  Raises ConfigError."""
    table = cabinet_of(folder)["site"]
    evidence, tls = (private_key(folder / name) for name in (EVIDENCE_KEY, TLS_KEY))
    if not isinstance(evidence, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{folder / EVIDENCE_KEY}: an Ed25519 key is expected")
    if not isinstance(tls, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{folder / TLS_KEY}: a P-256 key is expected")
    path = folder / f"{table['cabinet']}.request"
    replace(path, sites.request(table, evidence, tls, now))
    return path


def cabinet_of(folder: Path) -> TomlTable:
    """Return the tables of a cabinet's folder; raises ConfigError with the next step."""
    path = folder / "cabinet.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; next: name with --site the folder "
                          "that `python -m provisioning request --out` made") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def private_key(path: Path) -> object:
    """Return the private key of a PEM file; raises ConfigError."""
    try:
        return serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; a folder made by "
                          "`python -m provisioning request` has it") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a PEM private key") from error


def _check(text: str, now: datetime.datetime) -> None:
    """Let the gateway judge the cabinet, with keys that live as long as the check: its own
    certificate comes with the fleet's answer."""
    with tempfile.TemporaryDirectory(prefix="wattproof-check-") as work:
        root = Path(work)
        for name, content in _stand_ins(now, tomllib.loads(text)["site"]["cabinet"]).items():
            (root / name).parent.mkdir(exist_ok=True)
            write_new(root / name, content, 0o600)
        (root / "cabinet.toml").write_text(text, encoding="utf-8")
        mistakes = config.check(root / "cabinet.toml")
    if mistakes:
        listing = "\n".join(f"  {text}" for _, text in mistakes)
        raise ConfigError(f"{listing}\nthe parts do not make a cabinet that could run, nothing was "
                          "made; next: correct them")


def _stand_ins(now: datetime.datetime, cabinet: str) -> dict[str, bytes]:
    evidence, tls = identity.new_signing_key(), identity.new_tls_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cabinet)])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(tls.public_key()).serial_number(1).not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1)).sign(tls, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM))
    return {EVIDENCE_KEY: identity.private_pem(evidence), TLS_KEY: identity.private_pem(tls),
            "keys/tls.crt": certificate, "ca/ca.crt": certificate,
            "fleet/receipt.pub": identity.public_pem(identity.raw_public(evidence))}
