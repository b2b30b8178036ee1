"""The client's address, which a load balancer hides and a client may lie about.

`X-Forwarded-For` is believed only where the connection comes from a proxy that the settings name, and then only as far
as trusted proxies wrote it: read from the right, the first address that is not a trusted proxy's is the caller's.
Google's external balancers append two entries, the client's address and their own, so the last one is dropped there.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from starlette.types import Scope

    from webui_image.server.settings import Settings

# Where Google's front ends and health checks connect from.
GOOGLE = (IPv4Network("130.211.0.0/22"), IPv4Network("35.191.0.0/16"))


def client_address(scope: Scope, settings: Settings) -> str:
    """Give the caller's address as text; "unknown" where there is none, as on a Unix socket."""
    client = scope.get("client")
    peer = str(client[0]) if client else "unknown"
    by_google = settings.google_balancer and _within(peer, GOOGLE)
    if not by_google and not _within(peer, settings.trusted_proxies):
        return peer
    entries = [entry.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for entry in line.split(",")]
    if by_google:
        entries = entries[:-1]
    for entry in reversed(entries):
        address = _parse(entry)
        if address is None:
            return peer
        if not _within(entry, settings.trusted_proxies):
            return str(address)
    return peer


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(text: str, networks: tuple[object, ...]) -> bool:
    address = _parse(text)
    return address is not None and any(address in network for network in networks)  # type: ignore[operator]
