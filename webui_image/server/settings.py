"""What the server is told from outside, as values; `server/environment.py` reads them.

Frozen, so that nothing changes them at run time, and without secrets: keys and passwords stand here as their SHA-256
alone, and not in the repr either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address


@dataclass(frozen=True, slots=True)
class Place:
    """Where this replica runs, as the platform tells it; shown to users and in a header of every answer."""

    region: str = "unknown"
    accelerator: str = "unknown"
    capacity: str = "unknown"
    service: str = ""
    pod: str = "unknown"
    version: str = "dev"


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest of everything that a request may ask for; beyond it the answer is 413, 422 or 429."""

    body_bytes: int = 16 * 1024 * 1024
    bodies_bytes: int = 128 * 1024 * 1024  # of all requests being read at one moment
    body_seconds: float = 60.0  # to send a body
    json_values: int = 20_000  # commas and brackets in a body
    prompt_characters: int = 2_000
    smallest_side: int = 64
    largest_side: int = 1536
    pixels: int = 1024 * 1024  # width x height, also of the second pass and of an upscaled picture / 4
    steps: int = 150
    pictures: int = 8  # batch_size x n_iter
    cfg_scale: float = 30.0
    pixel_steps: int = 8 * 60 * 1024 * 1024  # width x height x steps x pictures
    input_pixels: int = 4 * 1024 * 1024  # of a picture sent in
    input_pictures: int = 8  # in one request
    request_seconds: float = 600.0  # from acceptance to answer
    waiting: int = 64  # pictures in the queue before the replica calls itself saturated


@dataclass(frozen=True, slots=True)
class Key:
    """One key or one user's password: its SHA-256, and the name its holder has in logs and in fair queueing."""

    name: str
    sha256: str = field(repr=False)  # 64 hexadecimal digits


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the server. All ways that are set up are open side by side."""

    api_keys: tuple[Key, ...] = field(default=(), repr=False)
    passwords: tuple[Key, ...] = field(default=(), repr=False)  # HTTP basic, user by user
    iap_audience: str = ""  # of the signed header that Identity-Aware Proxy adds
    iap_keys_file: str = ""  # public keys as JSON, {kid: PEM}; empty: Google's address
    anonymous: bool = False  # said outright: whoever reaches the port may use it
    metrics_open: bool = True  # /metrics needs no authentication

    @property
    def authenticates(self) -> bool:
        """Whether a caller has to say who it is."""
        return bool(self.api_keys or self.passwords or self.iap_audience)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the engine's own settings."""

    host: str = "127.0.0.1"
    port: int = 7860
    path_prefix: str = ""  # e.g. "/sd"; everything is served there as well as at the root
    access: Access = field(default_factory=Access)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()  # whose X-Forwarded-For is believed
    google_balancer: bool = False  # the last entry of X-Forwarded-For is the balancer's own, the caller is before it
    allowed_origins: tuple[str, ...] = ()  # pages of other sites that may use the API from a browser
    limits: Limits = field(default_factory=Limits)
    place: Place = field(default_factory=Place)
    drain_seconds: float = 3.0  # after SIGTERM: not ready, but serving, until load balancers have turned away
    termination_grace: float = 25.0  # from SIGTERM to SIGKILL
    success_seconds: float = 0.0  # not ready when no picture succeeded for so long with work waiting; 0: not asked
    log_prompts: bool = False
    log_json: bool = True
    log_level: str = "info"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
