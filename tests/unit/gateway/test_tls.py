"""Certificates of the development CA: trusted by who trusts it, kept, renewed in time, refused when damaged."""

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from haneul.base.env import ManualEnv
from haneul.base.errors import Invalid
from haneul.gateway.tls import RENEW_DAYS, SERVER_DAYS, make_context, make_development_files


def test_a_server_certificate_is_signed_for_localhost_by_the_ca(tmp_path: Path) -> None:
    file, _ = make_development_files(tmp_path, ManualEnv())

    server = x509.load_pem_x509_certificate(file.read_bytes())
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "*.s3.localhost" in names.get_values_for_type(x509.DNSName)
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    make_development_files(tmp_path / "tls", ManualEnv())

    for name in ("ca-key.pem", "server-key.pem"):
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600


def test_certificates_are_kept_until_they_are_near_their_end(tmp_path: Path) -> None:
    first = make_development_files(tmp_path, ManualEnv())[0].read_bytes()
    ca = (tmp_path / "ca.pem").read_bytes()

    second = make_development_files(tmp_path, ManualEnv())[0].read_bytes()
    late = ManualEnv(now=ManualEnv().now() + (SERVER_DAYS - RENEW_DAYS + 1) * 86400)
    third = make_development_files(tmp_path, late)[0].read_bytes()

    assert first == second != third
    assert (tmp_path / "ca.pem").read_bytes() == ca


def test_a_context_speaks_tls_1_2_at_least(tmp_path: Path) -> None:
    context = make_context(tmp_path)

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_operators_files_are_taken(tmp_path: Path) -> None:
    certificate, key = make_development_files(tmp_path / "made", ManualEnv())

    assert make_context(tmp_path / "unused", certificate=certificate, key=key)
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    certificate, key = make_development_files(tmp_path, ManualEnv())
    certificate.write_bytes(content)

    for arguments in ({}, {"certificate": certificate, "key": key}):
        with pytest.raises(Invalid, match=r"server\.pem"):
            make_context(tmp_path, **arguments)  # type: ignore[arg-type]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"nowhere\.pem"):
        make_context(tmp_path, certificate=tmp_path / "nowhere.pem", key=tmp_path / "nowhere.key")
