import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from https_server import HttpsServer

from foundation.http import AddressPolicy, HttpClient, RetryPolicy, TlsPolicy
from foundation.tls import LocalAuthority

FAST = RetryPolicy(attempts=3, first_wait=0.01, longest_wait=0.02, jitter=0.01, longest_pause=1.0)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = LocalAuthority(tmp_path_factory.mktemp("tls"))
    made.issue("server", ["127.0.0.1", "localhost"])
    return made


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", ["127.0.0.1", "localhost"]))
    return context


@pytest.fixture
def server(server_context):
    with HttpsServer(server_context) as running:
        yield running


@pytest.fixture
def make_client(server, authority):
    opened = []

    def make(**options):
        options = {"retry": FAST, "tls": TlsPolicy(ca_file=authority.ca_path), **options}
        policy = options.pop("addresses", AddressPolicy([f"127.0.0.1:{server.port}"]))
        opened.append(HttpClient(policy, system="kswp", **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(make_client):
    return make_client()
