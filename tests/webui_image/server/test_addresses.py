"""Whose address counts, with proxies in front and clients that lie."""

from ipaddress import ip_network

import pytest

from webui_image.server.addresses import client_address
from webui_image.server.settings import Settings

INSIDE = (ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
GOOGLE_PEER = "35.191.3.4"

CASES = {
    "no-proxy": ("203.0.113.7", None, (), False, "203.0.113.7"),
    "a-stranger-lies": ("203.0.113.7", "1.2.3.4", (), False, "203.0.113.7"),
    "a-stranger-lies-past-the-proxy": ("203.0.113.7", "1.2.3.4", INSIDE, False, "203.0.113.7"),
    "through-one-proxy": ("10.1.1.1", "198.51.100.9", INSIDE, False, "198.51.100.9"),
    "through-two-proxies": ("10.1.1.1", "198.51.100.9, 10.2.2.2", INSIDE, False, "198.51.100.9"),
    "the-client-lies-to-the-proxy": ("10.1.1.1", "9.9.9.9, 198.51.100.9", INSIDE, False, "198.51.100.9"),
    "a-client-inside": ("10.1.1.1", "10.3.3.3", INSIDE, False, "10.1.1.1"),
    "no-header": ("10.1.1.1", None, INSIDE, False, "10.1.1.1"),
    "junk-in-the-header": ("10.1.1.1", "'; drop table", INSIDE, False, "10.1.1.1"),
    "junk-before-the-address": ("10.1.1.1", "junk, 198.51.100.9", INSIDE, False, "198.51.100.9"),
    "ipv6": ("fd00::1", "2001:db8::5", INSIDE, False, "2001:db8::5"),
    "googles-balancer": (GOOGLE_PEER, "198.51.100.9, 34.1.2.3", (), True, "198.51.100.9"),
    "the-client-lies-to-googles-balancer": (GOOGLE_PEER, "9.9.9.9, 198.51.100.9, 34.1.2.3", (), True, "198.51.100.9"),
    "googles-balancer-not-expected": (GOOGLE_PEER, "198.51.100.9, 34.1.2.3", (), False, GOOGLE_PEER),
    "somebody-plays-google": ("203.0.113.7", "198.51.100.9, 34.1.2.3", (), True, "203.0.113.7"),
}


@pytest.mark.parametrize(("peer", "header", "trusted", "google", "expected"), CASES.values(), ids=CASES)
def test_the_first_address_that_no_trusted_proxy_wrote(peer, header, trusted, google, expected):
    """The caller is whom the outermost trusted proxy saw."""
    headers = [] if header is None else [(b"x-forwarded-for", header.encode())]
    scope = {"type": "http", "client": (peer, 1), "headers": headers}
    assert client_address(scope, Settings(trusted_proxies=trusted, google_balancer=google)) == expected


def test_several_headers_are_one_list():
    """A proxy that adds a header instead of extending it is understood."""
    headers = [(b"x-forwarded-for", b"9.9.9.9"), (b"x-forwarded-for", b"198.51.100.9")]
    scope = {"type": "http", "client": ("10.1.1.1", 1), "headers": headers}
    assert client_address(scope, Settings(trusted_proxies=INSIDE)) == "198.51.100.9"


def test_without_an_address_there_is_a_word():
    """A Unix socket has no address."""
    assert client_address({"type": "http", "client": None, "headers": []}, Settings()) == "unknown"
