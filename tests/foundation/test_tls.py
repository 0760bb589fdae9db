from cryptography import x509

from foundation.tls import LocalAuthority


def test_a_certificate_is_used_again_until_its_hosts_change(tmp_path):
    authority = LocalAuthority(tmp_path / "tls")
    certificate, key = authority.issue("api", ["localhost", "127.0.0.1"])
    first = certificate.read_bytes()
    assert authority.issue("api", ["127.0.0.1", "localhost"])[0].read_bytes() == first
    authority.issue("api", ["lintas.example.go.id"])
    assert certificate.read_bytes() != first
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "tls" / "ca.key").stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_signed_by_the_authority_and_no_authority_itself(tmp_path):
    authority = LocalAuthority(tmp_path / "tls")
    path, _ = authority.issue("api", ["localhost"])
    leaf, issuer = x509.load_pem_x509_certificates(path.read_bytes())
    leaf.verify_directly_issued_by(issuer)
    assert issuer == x509.load_pem_x509_certificate(authority.ca_pem.encode())
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 398


def test_the_authority_stays_the_same(tmp_path):
    first = LocalAuthority(tmp_path / "tls").ensure().read_bytes()
    assert LocalAuthority(tmp_path / "tls").ensure().read_bytes() == first
    assert LocalAuthority(tmp_path / "other").ensure().read_bytes() != first
