"""Who may come in: the page listens to this machine, the fleet believes its own broker only."""

import datetime
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleet import serve
from fleet.ingest.receiver import tls
from fleet.settings import Settings

# The platform's clock judges certificates: valid for any day this test may run on.
SINCE, UNTIL = datetime.datetime(2020, 1, 1), datetime.datetime(2090, 1, 1)


def test_the_page_is_bound_to_this_machine_only():
    listener = serve.listen(0)
    host = listener.getsockname()[0]
    listener.close()
    assert host == "127.0.0.1"


def certificate(folder, name, issuer=None):
    """Write NAME.crt and NAME.key, signed by issuer (key, x509 name) or an authority of its
    own; return (key, x509 name)."""
    key, title = ec.generate_private_key(ec.SECP256R1()), x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, by = issuer or (key, title)
    made = (x509.CertificateBuilder().subject_name(title).issuer_name(by)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(SINCE).not_valid_after(UNTIL)
            .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(signer, hashes.SHA256()))
    (folder / f"{name}.crt").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key, title


def handshake(client, server, name):
    """Shake hands in memory; raises what either side raises."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there, server_hostname=name),
             server.wrap_bio(there, back, server_side=True)]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0].getpeercert()


@pytest.mark.parametrize(("authority", "name", "error"), [
    ("ours", "broker.test", None),
    ("theirs", "broker.test", "self-signed certificate|unable to get local issuer|signature"),
    ("ours", "other.test", "Hostname mismatch")])
def test_only_a_broker_of_the_sites_own_authority_and_name_is_believed(authority, name, error,
                                                                      tmp_path):
    issuers = {one: certificate(tmp_path, one) for one in ("ours", "theirs")}
    certificate(tmp_path, "broker.test", issuers[authority])
    certificate(tmp_path, "fleet", issuers["ours"])
    values = {"ca": tmp_path / "ours.crt", "certificate": tmp_path / "fleet.crt",
              "key": tmp_path / "fleet.key"}
    client = tls(Settings(**{key: values.get(key) for key in Settings._fields}))
    broker = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.load_cert_chain(tmp_path / "broker.test.crt", tmp_path / "broker.test.key")
    if error is None:
        assert handshake(client, broker, name)["subject"] == ((("commonName", "broker.test"),),)
        return
    with pytest.raises(ssl.SSLCertVerificationError, match=error):
        handshake(client, broker, name)
