import socket

import pytest

from foundation.http import AddressPolicy, AddressRefused, AgencyUnreachable


def resolving(monkeypatch, *addresses):
    found = [(None, None, None, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "224.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
    ],
)
def test_a_name_that_leads_to_a_dangerous_address_is_refused(monkeypatch, address):
    policy = AddressPolicy(["siak.example.go.id:443"])
    policy.check("https", "siak.example.go.id", 443)
    resolving(monkeypatch, "10.1.2.3", address)
    with pytest.raises(AddressRefused):
        policy.resolve("siak.example.go.id", 443)


def test_an_intranet_address_may_be_called_unless_networks_say_otherwise(monkeypatch):
    resolving(monkeypatch, "10.1.2.3")
    assert AddressPolicy(["a.go.id:443"]).resolve("a.go.id", 443) == ["10.1.2.3"]
    assert AddressPolicy(["a.go.id:443"], ["10.0.0.0/8"]).resolve("a.go.id", 443) == ["10.1.2.3"]
    with pytest.raises(AddressRefused):
        AddressPolicy(["a.go.id:443"], ["192.168.0.0/16"]).resolve("a.go.id", 443)


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("https", "other.go.id", 443),
        ("https", "a.go.id", 8443),
        ("http", "a.go.id", 443),
        ("ftp", "127.0.0.1", 443),
        ("https", "a.go.id.evil.example", 443),
    ],
)
def test_what_is_not_on_the_list_is_refused(scheme, host, port):
    with pytest.raises(AddressRefused, match="may not call"):
        AddressPolicy(["a.go.id:443", "127.0.0.1:443"]).check(scheme, host, port)


def test_host_names_are_compared_without_case_and_loopback_may_be_plain():
    AddressPolicy(["A.go.id:443"]).check("https", "a.GO.id", 443)
    AddressPolicy(["127.0.0.1:8800"]).check("http", "127.0.0.1", 8800)
    AddressPolicy(["[::1]:8800"]).check("http", "::1", 8800)


@pytest.mark.parametrize("entry", ["a.go.id", "a.go.id:", ":443", "a.go.id:https"])
def test_an_entry_that_is_no_address_is_named(entry):
    with pytest.raises(AddressRefused, match="host:port"):
        AddressPolicy([entry])


def test_a_name_that_does_not_resolve_is_unreachable():
    with pytest.raises(AgencyUnreachable, match="does not resolve"):
        AddressPolicy(["nowhere.invalid:443"]).resolve("nowhere.invalid", 443)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, server, client):
    """A name server that changes its mind between check and connection changes nothing."""
    answers = iter(["127.0.0.1"])
    asked = []

    def once(host, port, *_, **__):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr("foundation.http_policy.socket.getaddrinfo", once)
    real = socket.create_connection
    connected = []

    def connect(address, *args, **kwargs):
        connected.append(address[0])
        monkeypatch.undo()
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "create_connection", connect)
    assert client.get_json(f"{server.url}/x") == {}
    assert (asked, connected) == (["127.0.0.1"], ["127.0.0.1"])
