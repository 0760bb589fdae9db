import pytest
from https_server import json_reply, reply
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from foundation.errors import LintasError
from foundation.secrets import ReferenceInvalid, SecretForeign, SecretMissing, SecretReference, SecretResolver
from foundation.settings import Settings

AGENCY = "kpp-mojokerto"


@pytest.fixture
def resolver(settings):
    (settings.home / "secrets" / AGENCY / "kswp").mkdir(parents=True)
    (settings.home / "secrets" / "dukcapil-mojokerto").mkdir()
    _write(settings.home / "secrets" / AGENCY / "kswp" / "client", "s3cret\n")
    _write(settings.home / "secrets" / "dukcapil-mojokerto" / "siak", "other")
    _write(settings.home / "keys.passphrase", "passphrase")
    return SecretResolver(AGENCY, settings)


def _write(path, text):
    path.write_text(text)
    path.chmod(0o600)


def test_a_file_of_the_agency_is_opened(resolver):
    assert resolver.resolve("file:kswp/client") == SecretStr("s3cret")
    assert resolver.resolve("file:kpp-mojokerto/kswp/client") == SecretStr("s3cret")
    assert "s3cret" not in repr(resolver.resolve(SecretReference.parse("file:kswp/client")))


def test_a_variable_of_the_agency_is_opened(resolver, monkeypatch):
    monkeypatch.setenv("LINTAS_SECRET_KPP_MOJOKERTO__KSWP", "s3cret")
    assert resolver.resolve("env:LINTAS_SECRET_KPP_MOJOKERTO__KSWP").get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    "reference",
    [
        "file:../dukcapil-mojokerto/siak",
        "file:kswp/../../dukcapil-mojokerto/siak",
        "file:../../keys.passphrase",
        "file:/etc/passwd",
        "file:kswp//client",
        "file:.",
        "file:kswp/.hidden",
        "env:HOME",
        "env:LINTAS_DATABASE_URL",
        "env:LINTAS_SECRET_DUKCAPIL_MOJOKERTO__SIAK",
        "env:LINTAS_SECRET_KPP_MOJOKERTO_KSWP",
        "airflow:lintas_db",
        "airflow:dukcapil-mojokerto.siak",
        "vault:dukcapil-mojokerto/siak",
        "vault:kpp-mojokerto/../dukcapil-mojokerto/siak",
        "vault:kpp-mojokerto",
        "vault:kpp-mojokerto-2/x",
    ],
)
def test_what_lies_outside_the_agency_is_refused(resolver, reference):
    with pytest.raises(SecretForeign):
        resolver.resolve(reference)


@given(
    st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,3}", fullmatch=True),
    st.from_regex(r"[a-z0-9]+(-[a-z0-9]+){0,2}", fullmatch=True),
)
def test_an_agency_cannot_read_the_variables_of_one_whose_name_goes_on_from_its_own(first, rest):
    longer = f"{first}-{rest}"
    name = f"LINTAS_SECRET_{longer.upper().replace('-', '_')}__PASSWORD"
    with pytest.raises(SecretForeign):
        SecretResolver(first, Settings()).resolve(f"env:{name}")
    with pytest.raises(SecretMissing):
        SecretResolver(longer, Settings()).resolve(f"env:{name}")


def test_a_link_that_leads_out_is_refused(resolver):
    (resolver.directory / "link").symlink_to(resolver.directory.parent / "dukcapil-mojokerto" / "siak")
    with pytest.raises(SecretForeign):
        resolver.resolve("file:link")


def test_a_secret_that_is_not_there_or_not_private_is_named(resolver):
    for reference in ("file:none", "env:LINTAS_SECRET_KPP_MOJOKERTO__X", "vault:kpp-mojokerto/x"):
        with pytest.raises(SecretMissing):
            resolver.resolve(reference)
    (resolver.directory / "kswp" / "client").chmod(0o644)
    with pytest.raises(LintasError, match="chmod"):
        resolver.resolve("file:kswp/client")


@given(st.text().filter(lambda text: text.partition(":")[0] not in ("env", "file", "airflow", "vault")))
def test_a_secret_written_into_a_contract_is_refused_and_not_repeated(text):
    with pytest.raises(ReferenceInvalid) as caught:
        SecretReference.parse(text)
    assert len(text) < 5 or text not in str(caught.value)


@given(st.text(alphabet="abc./\\-_ \0é%", max_size=30))
def test_no_name_leaves_the_folder_of_the_agency(tmp_path_factory, text):
    home = tmp_path_factory.mktemp("home")
    resolver = SecretResolver("a", Settings(home=home))
    with pytest.raises((SecretForeign, SecretMissing, ReferenceInvalid)):
        resolver.resolve(f"file:{text}")


@pytest.mark.parametrize("namespace", ["", "../x", "A", "a--b", "a/b"])
def test_a_namespace_is_an_agency(settings, namespace):
    with pytest.raises(ReferenceInvalid):
        SecretResolver(namespace, settings)


def test_a_vault_is_asked_for_the_field(server_context, settings, authority, monkeypatch):
    from https_server import HttpsServer

    with HttpsServer(None) as vault:
        token = settings.home / "vault.token"
        token.parent.mkdir(parents=True)
        _write(token, "t0ken\n")
        known = Settings(home=settings.home, vault_url=vault.url, vault_token_file=token)
        resolver = SecretResolver(AGENCY, known)
        vault.replies = [json_reply({"data": {"data": {"password": "s3cret"}}})]
        assert resolver.resolve("vault:kpp-mojokerto/kswp#password") == SecretStr("s3cret")
        assert vault.received[0].target == "/v1/secret/data/kpp-mojokerto/kswp"
        assert vault.received[0].headers["x-vault-token"] == "t0ken"
        with pytest.raises(SecretMissing, match="no field value"):
            resolver.resolve("vault:kpp-mojokerto/kswp")
        vault.replies = [reply(404)]
        with pytest.raises(SecretMissing):
            resolver.resolve("vault:kpp-mojokerto/kswp")
