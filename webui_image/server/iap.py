"""Google's Identity-Aware Proxy: the signed header that says which user it has let through.

The plain header `x-goog-authenticated-user-email` proves nothing, since anyone who reaches the Pod past the proxy can
write it. The signed one is a JWT (ES256) for one audience; its public keys come from a file or from Google's address,
and are asked for again when an unknown key is named, but not more than once a minute.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from webui_image.clock import Clock
    from webui_image.server.settings import Access

IAP_HEADER = "x-goog-iap-jwt-assertion"
ISSUER = "https://cloud.google.com/iap"
KEYS_ADDRESS = "https://www.gstatic.com/iap/verify/public_key"
_LONGEST_TOKEN = 8192
_ASK_AGAIN_SECONDS = 60.0
_FETCH_SECONDS = 5.0


class IapVerifier:
    """Reads the user out of the signed header."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._audience = access.iap_audience
        self._file = access.iap_keys_file
        self._clock = clock
        self._keys: dict[str, str] = {}
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def user(self, token: str) -> str | None:
        """Give the user's e-mail address, or None where the header is absent, forged, expired or meant for others."""
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        try:
            claims = await self._claims(token)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the token proves nothing
            structlog.get_logger().warning("IAP token refused", error=type(error).__name__)
            return None
        email = claims.get("email")
        return email if claims.get("iss") == ISSUER and isinstance(email, str) and email else None

    async def _claims(self, token: str) -> dict[str, Any]:
        from google.auth import jwt

        header = jwt.decode_header(token)
        if header.get("alg") != "ES256":
            raise ValueError("not ES256")
        if header.get("kid") not in self._keys:
            await self._refresh()
        claims: dict[str, Any] = jwt.decode(token, certs=self._keys, audience=self._audience, clock_skew_in_seconds=30)
        return claims

    async def _refresh(self) -> None:
        async with self._lock:
            now = self._clock.monotonic()
            if self._asked is not None and now - self._asked < _ASK_AGAIN_SECONDS:
                return
            self._asked = now
            self._keys = await asyncio.to_thread(read_keys, self._file)


def read_keys(file: str) -> dict[str, str]:
    """Give the public keys by their id: from a file, or from Google's address where `file` is empty."""
    if file:
        keys = json.loads(Path(file).read_text())
    else:
        import requests

        answer = requests.get(KEYS_ADDRESS, timeout=_FETCH_SECONDS)
        answer.raise_for_status()
        keys = answer.json()
    if not isinstance(keys, dict):
        raise TypeError("not an object of keys")
    return {str(name): str(key) for name, key in keys.items()}
