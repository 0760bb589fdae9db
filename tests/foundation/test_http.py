import gzip
import inspect
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from https_server import HttpsServer, json_reply, reply
from pydantic import SecretStr

import foundation.http
from foundation import http_errors
from foundation.errors import LintasError
from foundation.http import (
    AccessRefused,
    AgencyFailing,
    AgencyTooSlow,
    AgencyUnreachable,
    BasicCredentials,
    BodyCut,
    BodyTooLarge,
    CircuitBreaker,
    CircuitOpen,
    HttpClient,
    Limits,
    LoginRefused,
    NotFoundAtSource,
    OAuth2ClientCredentials,
    QuotaSpent,
    RateLimit,
    RateLimited,
    RedirectRefused,
    RequestRefused,
    RetryPolicy,
    Timeouts,
    TlsPolicy,
    TlsRefused,
    UnexpectedContent,
)
from foundation.http_mapping import map_http_error
from foundation.http_policy import TlsFilesBroken
from foundation.tls import LocalAuthority


def test_a_json_document_arrives_over_verified_tls(server, client, no_leaks):
    server.replies = [json_reply({"data": [1]})]
    assert client.get_json(f"{server.url}/v1", {"limit": 5}) == {"data": [1]}
    assert server.received[0].target == "/v1?limit=5"
    client.close()


def test_a_form_and_a_json_body_are_sent_as_such(server, client):
    client.request("POST", f"{server.url}/form", form={"a": "1 2"})
    client.request_json("POST", f"{server.url}/json", json={"npwp16": "x"})
    assert [each.body for each in server.received] == [b"a=1+2", b'{"npwp16":"x"}']


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LoginRefused),
        (403, AccessRefused),
        (404, NotFoundAtSource),
        (410, NotFoundAtSource),
        (400, RequestRefused),
        (422, RequestRefused),
        (302, RedirectRefused),
        (429, RateLimited),
        (408, AgencyFailing),
        (500, AgencyFailing),
        (503, AgencyFailing),
    ],
)
def test_every_status_that_is_no_answer_has_a_name(server, make_client, status, error):
    server.replies = [reply(status, Location="https://169.254.169.254/")]
    with pytest.raises(error) as caught:
        make_client().get_json(f"{server.url}/x")
    assert caught.value.attributes["status"] == status
    assert caught.value.remedy


def test_a_failing_agency_is_asked_again_until_it_answers(server, client):
    server.replies = [reply(503), lambda *_: None, json_reply({"ok": True})]
    assert client.get_json(f"{server.url}/x") == {"ok": True}
    assert len(server.received) == 3


def test_a_request_that_changes_something_is_not_repeated(server, client):
    server.replies = [reply(503), reply(200)]
    with pytest.raises(AgencyFailing):
        client.request("POST", f"{server.url}/orders", json={})
    assert len(server.received) == 1
    client.request("POST", f"{server.url}/search", json={}, idempotent=True)


def test_a_pause_that_is_asked_for_is_kept(server, client):
    server.replies = [reply(429, Retry_After="1"), json_reply(1)]
    begin = time.monotonic()
    assert client.get_json(f"{server.url}/x") == 1
    assert time.monotonic() - begin >= 1.0


def test_a_pause_longer_than_patience_is_handed_to_the_caller(server, client):
    server.replies = [reply(429, Retry_After="3600")]
    with pytest.raises(RateLimited) as caught:
        client.get_json(f"{server.url}/x")
    assert caught.value.retry_after == 3600
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!doctype html><title>Login</title>", "text/html"),
        (b"  <html>", "application/json"),
        (b"", "application/json"),
        (b"Service OK", "text/plain"),
        (b'{"a": 1} trailing', "application/json"),
        (b'{"a": nope}', "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
)
def test_something_else_than_json_is_named_and_not_repeated(server, client, body, kind):
    server.replies = [reply(200, body, Content_Type=kind)]
    with pytest.raises(UnexpectedContent):
        client.get_json(f"{server.url}/x")
    assert len(server.received) == 1


WHOLE = b'{"data": [{"nama_wp": "S\xc3\xa9r\\u00e9", "ok": true, "x": -1, "tahun": 2026}], "next": null}'


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_json_cut_anywhere_is_seen_as_cut_and_asked_for_again(server, client, length):
    server.replies = [reply(200, WHOLE[:length]), reply(200, WHOLE)]
    assert client.get_json(f"{server.url}/x")["next"] is None
    assert len(server.received) == 2


def test_a_body_shorter_than_announced_is_cut(server, make_client):
    server.replies = [reply(200, b'{"a"', Content_Length="5000")]
    with pytest.raises(BodyCut):
        make_client().request("GET", f"{server.url}/x")
    assert len(server.received) == 3


def test_a_chunked_body_without_its_end_is_cut(server, make_client):
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.replies = [head + b"5\r\n{}   \r\n"]
    with pytest.raises(BodyCut):
        make_client().get_json(f"{server.url}/x")


def test_a_body_larger_than_the_limit_is_not_read_to_its_end(server, make_client):
    small = make_client(limits=Limits(body_bytes=1000))
    server.replies = [reply(200, b"x" * 5000)]
    with pytest.raises(BodyTooLarge):
        small.request("GET", f"{server.url}/x")
    bomb = gzip.compress(b" " * 5_000_000)
    server.replies = [reply(200, bomb, Content_Encoding="gzip")]
    with pytest.raises(BodyTooLarge):
        small.request("GET", f"{server.url}/x")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "identity", "raw deflate"])
def test_a_body_is_unpacked_up_to_the_limit_and_not_a_byte_beyond(server, make_client, encoding):
    exact = make_client(limits=Limits(body_bytes=300_000))
    for size, fits in ((300_000, True), (300_001, False)):
        text = b"abc" * 100_000 + b"x" * (size - 300_000)
        raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = {
            "deflate": zlib.compress(text),
            "identity": text,
            "raw deflate": raw.compress(text) + raw.flush(),
        }.get(encoding, gzip.compress(text))
        server.replies = [reply(200, packed, Content_Encoding=encoding.removeprefix("raw "))]
        if fits:
            assert exact.request("GET", f"{server.url}/x").body == text
        else:
            with pytest.raises(BodyTooLarge):
                exact.request("GET", f"{server.url}/x")


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip"])
def test_a_bomb_costs_no_more_memory_than_the_limit(server, make_client, encoding):
    small = make_client(limits=Limits(body_bytes=1_000_000))
    bomb = gzip.compress(gzip.compress(b" " * 200_000_000) if "," in encoding else b" " * 50_000_000)
    server.replies = [reply(200, bomb, Content_Encoding=encoding)]
    tracemalloc.start()
    try:
        with pytest.raises((BodyTooLarge, UnexpectedContent)):
            small.request("GET", f"{server.url}/x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"not gzip", "gzip"),
        (b"{}", "br"),
        (b"{}", "zstd"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        (gzip.compress(b"x" * 200_000) * 2, "gzip"),
    ],
    ids=["not gzip", "brotli", "zstandard", "gzip twice", "two members"],
)
def test_a_body_that_cannot_be_decompressed_is_named(server, client, body, encoding):
    server.replies = [reply(200, body, Content_Encoding=encoding)]
    with pytest.raises(UnexpectedContent):
        client.request("GET", f"{server.url}/x")


def test_a_packed_body_that_ends_too_early_is_cut(server, make_client):
    client = make_client(retry=RetryPolicy.never())
    server.replies = [reply(200, gzip.compress(b"abc" * 1000)[:-9], Content_Encoding="gzip")]
    with pytest.raises(BodyCut):
        client.request("GET", f"{server.url}/x")


def _drip(connection, _received):
    connection.sendall(b"HTTP/1.1 200 X\r\n")
    for _ in range(100):
        connection.sendall(b"X: y\r\n")
        time.sleep(0.05)


def _silent(connection, _received):
    time.sleep(0.8)


@pytest.mark.parametrize("slowness", [_drip, _silent])
def test_one_deadline_ends_everything(server, make_client, slowness):
    server.replies = [slowness]
    begin = time.monotonic()
    with pytest.raises(AgencyTooSlow):
        make_client(timeouts=Timeouts(total=0.4)).get_json(f"{server.url}/x")
    assert time.monotonic() - begin < 1.5


def test_a_server_that_is_not_there_is_unreachable(server, make_client):
    with HttpsServer(None) as gone:
        port = gone.port
    from foundation.http import AddressPolicy

    with pytest.raises(AgencyUnreachable):
        make_client(addresses=AddressPolicy([f"127.0.0.1:{port}"])).get_json(f"https://127.0.0.1:{port}/x")


def test_a_connection_that_is_dropped_is_unreachable(server, make_client):
    server.replies = [lambda connection, _: None]
    with pytest.raises(AgencyUnreachable):
        make_client().get_json(f"{server.url}/x")


def test_a_certificate_of_an_unknown_authority_is_refused_at_once(server, make_client, tmp_path):
    stranger = LocalAuthority(tmp_path / "other")
    stranger.ensure()
    for tls in (TlsPolicy(ca_file=stranger.ca_path), TlsPolicy(ca_pem=stranger.ca_pem), TlsPolicy()):
        with pytest.raises(TlsRefused, match="certificate"):
            make_client(tls=tls).get_json(f"{server.url}/x")
    assert server.received == []


def test_a_certificate_of_another_name_is_refused(authority, server_context, make_client):
    import ssl

    from foundation.http import AddressPolicy

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("elsewhere", ["elsewhere.example"]))
    with HttpsServer(context) as other:
        client = make_client(addresses=AddressPolicy([f"127.0.0.1:{other.port}"]))
        with pytest.raises(TlsRefused, match="mismatch"):
            client.get_json(f"{other.url}/x")


def test_plain_text_on_a_tls_port_is_refused(make_client):
    from foundation.http import AddressPolicy

    def plain(connection, _received):
        connection.sendall(b"HTTP/1.1 400 X\r\n\r\n")

    with HttpsServer(None, [plain]) as other:
        client = make_client(addresses=AddressPolicy([f"127.0.0.1:{other.port}"]))
        with pytest.raises((TlsRefused, AgencyUnreachable, AgencyTooSlow)):
            client.get_json(f"https://127.0.0.1:{other.port}/x", deadline=1.0)


def test_a_client_certificate_opens_a_door_that_asks_for_one(authority, server_context, make_client):
    import ssl

    from foundation.http import AddressPolicy

    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(authority.ca_path)
    certificate, key = authority.issue("bus", ["bus.example"])
    with HttpsServer(server_context) as strict:
        addresses = AddressPolicy([f"127.0.0.1:{strict.port}"])
        known = TlsPolicy(ca_file=authority.ca_path, client_certificate=certificate, client_key=key)
        assert make_client(addresses=addresses, tls=known).get_json(f"{strict.url}/x") == {}
        with pytest.raises((TlsRefused, AgencyUnreachable)):
            make_client(addresses=addresses).get_json(f"{strict.url}/x")


def test_broken_tls_files_are_named_before_anything_is_sent(make_client, server, tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    for tls in (TlsPolicy(ca_file=tmp_path / "ca.pem"), TlsPolicy(ca_file=tmp_path / "none.pem")):
        with pytest.raises(TlsFilesBroken):
            make_client(tls=tls).get_json(f"{server.url}/x")


def _token_reply(token, seconds=3600):
    return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": seconds})


def _by_path(server, tokens, data):
    """Serve /token from one list and everything else by the token that was sent."""

    def answer(connection, received):
        if received.target == "/token":
            connection.sendall(tokens.pop(0))
        else:
            connection.sendall(data(received.headers.get("authorization")))

    server.replies = [answer]


def _oauth(client, server, **options):
    client.credentials = OAuth2ClientCredentials(
        client, f"{server.url}/token", "lintas", SecretStr("hush"), **options
    )
    return client


def test_a_token_that_ends_mid_way_is_renewed_once(server, client):
    _by_path(
        server,
        [_token_reply("old"), _token_reply("new")],
        lambda sent: json_reply(1) if sent == "Bearer new" else reply(401),
    )
    assert _oauth(client, server).get_json(f"{server.url}/data") == 1
    assert client.get_json(f"{server.url}/data") == 1
    assert [each.target for each in server.received] == ["/token", "/data", "/token", "/data", "/data"]
    assert server.received[0].body == b"grant_type=client_credentials"


def test_a_token_that_stays_refused_is_a_login_error(server, client):
    _by_path(server, [_token_reply("a"), _token_reply("b")], lambda _: reply(401))
    with pytest.raises(LoginRefused):
        _oauth(client, server).get_json(f"{server.url}/data")


@pytest.mark.parametrize("answer", [reply(401), reply(400, b'{"error":"invalid_client"}')])
def test_a_refused_client_secret_is_a_login_error_that_does_not_repeat_it(server, client, answer):
    _by_path(server, [answer], lambda _: reply(200))
    with pytest.raises(LoginRefused) as caught:
        _oauth(client, server, in_body=True, scope="kswp").get_json(f"{server.url}/data")
    assert b"client_secret=hush" in server.received[0].body
    assert "hush" not in f"{caught.value} {caught.value.as_dict()} {caught.value!r}"


def test_a_token_endpoint_without_token_is_named(server, client):
    _by_path(server, [json_reply({"token": "x"})], lambda _: reply(200))
    with pytest.raises(UnexpectedContent, match="access token"):
        _oauth(client, server).get_json(f"{server.url}/data")


def test_threads_share_one_token(server, make_client):
    client = make_client()
    _by_path(server, [_token_reply("one")], json_reply)
    _oauth(client, server)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.get_json(f"{server.url}/data"), range(24)))
    assert set(found) == {"Bearer one"}


def test_basic_credentials_are_sent(server, make_client):
    make_client(credentials=BasicCredentials("u", SecretStr("p"))).get_json(f"{server.url}/x")
    assert server.received[0].headers["authorization"] == "Basic dTpw"


def test_a_rate_that_was_agreed_is_kept_by_all_threads_together(server, make_client):
    client = make_client(rate=RateLimit(per_second=20, burst=1))
    begin = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.get_json(f"{server.url}/x"), range(9)))
    assert time.monotonic() - begin >= 8 / 20


def test_a_daily_quota_ends_the_calls(server, make_client):
    client = make_client(rate=RateLimit(per_day=2))
    client.get_json(f"{server.url}/x")
    client.get_json(f"{server.url}/x")
    with pytest.raises(QuotaSpent):
        client.get_json(f"{server.url}/x")
    assert len(server.received) == 2


def test_a_system_that_keeps_failing_is_left_in_peace_then_tried_again(server, make_client):
    client = make_client(breaker=CircuitBreaker(failures=3, pause=0.3))
    server.replies = [reply(500)]
    with pytest.raises(AgencyFailing):
        client.get_json(f"{server.url}/x")
    with pytest.raises(CircuitOpen) as caught:
        client.get_json(f"{server.url}/x")
    assert 0 < caught.value.retry_after <= 0.3
    assert len(server.received) == 3
    time.sleep(0.35)
    server.replies = [reply(200)]
    assert client.get_json(f"{server.url}/x") == {}
    assert client.get_json(f"{server.url}/x") == {}


def test_a_call_that_opens_the_circuit_tells_what_opened_it(server, make_client):
    client = _oauth(make_client(breaker=CircuitBreaker(failures=2, pause=30)), server)
    server.replies = [reply(500)]
    with pytest.raises(AgencyFailing):
        client.get_json(f"{server.url}/data")
    with pytest.raises(CircuitOpen):
        client.get_json(f"{server.url}/data")
    assert len(server.received) == 2


def test_the_one_call_that_tries_again_may_fetch_its_token(server, make_client):
    client = _oauth(make_client(breaker=CircuitBreaker(failures=1, pause=0.2)), server)
    tokens = [_token_reply("old"), _token_reply("new")]
    answers = [reply(500), reply(401), json_reply(1), json_reply(2)]
    _by_path(server, tokens, lambda _: answers.pop(0))
    with pytest.raises((AgencyFailing, CircuitOpen)):
        client.get_json(f"{server.url}/data")
    time.sleep(0.25)
    assert client.get_json(f"{server.url}/data") == 1
    assert client.get_json(f"{server.url}/data") == 2


def test_no_error_and_no_log_shows_query_body_or_long_numbers(server, client, canary, caplog):
    caplog.set_level("DEBUG")
    url = f"{server.url}/v1/{canary.nik}/x"
    shown = []
    for status in (400, 404, 429, 500):
        server.replies = [reply(status, canary.nik.encode(), Retry_After="9999")]
        with pytest.raises(LintasError) as caught:
            client.request("POST", url, params={"nik": canary.nik}, json={"name": canary.name})
        shown.append(f"{caught.value} {caught.value.as_dict()} {caught.value!r}")
    assert canary.found_in("\n".join([*shown, caplog.text])) == []


def _httpx_errors():
    found = {
        each
        for name in httpx.__all__
        if inspect.isclass(each := getattr(httpx, name)) and issubclass(each, Exception)
    }
    return sorted(found, key=lambda each: each.__name__)


@pytest.mark.parametrize("kind", _httpx_errors())
def test_every_error_of_httpx_has_one_of_ours(kind):
    error = kind.__new__(kind)
    Exception.__init__(error, "https://host/?nik=3576024107850099")
    ours = map_http_error(error, "https://host")
    assert isinstance(ours, LintasError)
    assert ours.remedy
    assert "3576" not in str(ours)


def test_the_exports_are_exact():
    assert sorted(foundation.http.__all__) == foundation.http.__all__
    for name in (*foundation.http.__all__, *http_errors.__all__):
        assert hasattr(foundation.http, name)


def test_an_address_that_is_none_is_refused(client):
    for url in ("http://[::1", "ftp://127.0.0.1/x", "nonsense"):
        with pytest.raises(LintasError):
            client.get_json(url)


def test_a_client_can_be_used_again_after_closing(server, make_client):
    client: HttpClient = make_client()
    with client:
        client.get_json(f"{server.url}/x")
    assert client.get_json(f"{server.url}/x") == {}
