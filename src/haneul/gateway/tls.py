"""TLS: the operator's certificate, or one from a development CA that is made on first use."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from haneul.base.env import Env, RealEnv
from haneul.base.errors import Invalid

if TYPE_CHECKING:
    import ssl

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

# A wildcard covers one label, so virtual-hosted buckets get names of their own; browsers want names, not only a CN.
NAMES: Final = ("localhost", "*.localhost", "*.s3.localhost", "*.execute-api.localhost", "*.lambda-url.localhost")
ADDRESSES: Final = ("127.0.0.1", "::1")
CA_DAYS: Final = 3650
SERVER_DAYS: Final = 397  # Apple's and Chrome's limit for a server certificate is 398 days
RENEW_DAYS: Final = 30


def make_context(
    directory: Path, *, certificate: Path | None = None, key: Path | None = None, env: Env | None = None
) -> "ssl.SSLContext":
    """What a Server needs for TLS 1.2 and 1.3: from the operator's PEM files (certificate: the chain, leaf first), or
    from the development CA in directory, made when it is not there (ca.pem is what clients have to trust; certificates
    near their end are made anew). Raises Invalid when the files do not hold what they should."""
    import ssl

    if certificate is None or key is None:
        certificate, key = make_development_files(directory, env if env is not None else RealEnv())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # SSLError is one
        raise Invalid("certificate", os.fspath(certificate), str(error)) from error
    return context


def make_development_files(directory: Path, env: Env) -> tuple[Path, Path]:
    """(certificate, key) of a server for localhost and its subdomains, and ca.pem beside them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.fromtimestamp(env.now(), UTC)
    ca_file, ca_key_file = directory / "ca.pem", directory / "ca-key.pem"
    file, key_file = directory / "server.pem", directory / "server-key.pem"
    if not _lasts(ca_file, ca_key_file, now):
        ca_key = _new_key()
        ca = _sign(_name("haneul development CA"), ca_key, _name("haneul development CA"), ca_key, now, ca=True)
        _write(ca_key_file, _private_pem(ca_key))
        _write(ca_file, ca.public_bytes(serialization.Encoding.PEM))
        file.unlink(missing_ok=True)
    if not _lasts(file, key_file, now):
        try:
            ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
            ca_private = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
        except ValueError as error:
            raise Invalid("certificate", os.fspath(ca_file), f"is damaged: {error}") from error
        server_key = _new_key()
        issuer_key: EllipticCurvePrivateKey = ca_private  # type: ignore[assignment]
        server = _sign(_name("localhost"), server_key, ca.subject, issuer_key, now, ca=False)
        _write(key_file, _private_pem(server_key))
        _write(file, server.public_bytes(serialization.Encoding.PEM))
    return file, key_file


def _lasts(file: Path, key_file: Path, now: datetime) -> bool:
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise Invalid("certificate", os.fspath(file), f"is damaged: {error}") from error
    return key_file.exists() and ends - now > timedelta(days=RENEW_DAYS)


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: "x509.Name",
    key: "EllipticCurvePrivateKey",
    issuer: "x509.Name",
    issuer_key: "EllipticCurvePrivateKey",
    now: datetime,
    *,
    ca: bool,
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CA_DAYS if ca else SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_usage(ca=ca), critical=True)
    )
    if not ca:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, ca: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: "EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, readable by the owner only."""
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    new.replace(file)
