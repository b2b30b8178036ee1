"""Access tokens: what the OAuth endpoint gives for a service account's signed JWT, and what every server here asks for.

Clients hold an ordinary `service_account` key file. google-auth either exchanges a JWT signed with it at `/token`, or
sends such a JWT itself as the bearer token, so both are understood. Access tokens are signed rather than stored, and
the signing secret follows from the key file: tokens outlive a restart of the local cloud without any more state. No
token is ever logged.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from controlplane.localcloud.clock import Clock

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCESS_TOKEN_SECONDS = 3599
# Google refuses assertions that live longer than an hour or come from a clock that is far off.
LONGEST_ASSERTION_SECONDS = 3600
CLOCK_SKEW_SECONDS = 300
_PREFIX = "ya29.local."
_REMEMBERED = 4096


class TokenError(Exception):
    """A refused grant: OAuth's error code and its description."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True)
class _Identity:
    user: str
    expires: float


def new_credentials(project: str, token_uri: str, *, name: str = "operator") -> dict[str, str]:
    """Make a service account key as `gcloud iam service-accounts keys create` writes it."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    email = f"{name}@{project}.iam.gserviceaccount.com"
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": str(10**20 + secrets.randbelow(10**20)),
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }


class TokenIssuer:
    """Issues access tokens, says whose a token is, and lets them expire early when a fault asks for it."""

    def __init__(self, clock: Clock, credentials: Mapping[str, str]) -> None:
        self._clock = clock
        self._email = credentials["client_email"]
        self._key_id = credentials["private_key_id"]
        pem = credentials["private_key"].encode()
        private = cast("rsa.RSAPrivateKey", serialization.load_pem_private_key(pem, password=None))
        self._public = private.public_key()
        self._secret = hashlib.sha256(b"access tokens\0" + pem).digest()
        # Digests of tokens, so that the tokens themselves are not kept: valid ones seen so far, and revoked ones.
        self._seen: dict[bytes, _Identity] = {}
        self._revoked: dict[bytes, _Identity] = {}

    @property
    def service_account(self) -> str:
        """The service account whose key was issued."""
        return self._email

    def issue(self, user: str, seconds: float = ACCESS_TOKEN_SECONDS) -> str:
        """Give a token for this user; long-lived ones are for kubeconfig files."""
        expires = self._now() + seconds
        payload = _encode(json.dumps({"sub": user, "exp": expires, "jti": secrets.token_hex(8)}).encode())
        token = f"{_PREFIX}{payload}.{self._signature(payload)}"
        self._remember(self._seen, _digest(token), _Identity(user, expires))
        return token

    def exchange(self, assertion: str) -> dict[str, Any]:
        """Answer a JWT bearer grant, as oauth2.googleapis.com does; raise TokenError when it is refused."""
        claims = self._claims(assertion)
        if not claims.get("aud"):
            raise TokenError("invalid_grant", "Invalid JWT: no audience.")
        token = self.issue(self._email)
        return {"access_token": token, "expires_in": ACCESS_TOKEN_SECONDS, "token_type": "Bearer"}

    def authenticate(self, token: str) -> str | None:
        """Give the user of a bearer token, or None when it is unknown, expired or revoked."""
        digest = _digest(token)
        if digest in self._revoked:
            return None
        identity = self._seen.get(digest) or self._read(token)
        if identity is None or identity.expires <= self._now():
            return None
        self._remember(self._seen, digest, identity)
        return identity.user

    def revoke(self, token: str) -> None:
        """Refuse this token from now on."""
        digest = _digest(token)
        identity = self._seen.pop(digest, None) or self._read(token)
        if identity is not None:
            self._remember(self._revoked, digest, identity)

    def expire_all(self, user: str | None = None) -> int:
        """Refuse every token in use so far (of one user), as if its hour were over; new ones are issued as before."""
        found = [digest for digest, identity in self._seen.items() if user is None or identity.user == user]
        for digest in found:
            self._remember(self._revoked, digest, self._seen.pop(digest))
        return len(found)

    def _now(self) -> float:
        # The clock fault shifts what clusters write, not who may come in.
        offset: timedelta = getattr(self._clock, "offset", timedelta())
        return (self._clock.now() - offset).timestamp()

    def _signature(self, payload: str) -> str:
        return _encode(hmac.digest(self._secret, payload.encode(), "sha256"))

    def _read(self, token: str) -> _Identity | None:
        if token.startswith(_PREFIX):
            payload, _, signature = token.removeprefix(_PREFIX).partition(".")
            if not hmac.compare_digest(signature.encode(), self._signature(payload).encode()):
                return None
            claims = json.loads(_decode(payload))
            return _Identity(claims["sub"], claims["exp"])
        try:
            claims = self._claims(token)
        except TokenError:
            return None
        return _Identity(self._email, float(claims["exp"]))

    def _claims(self, assertion: str) -> dict[str, Any]:
        head, _, signature = assertion.rpartition(".")
        try:
            header, claims = (json.loads(_decode(part)) for part in head.split(".", 1))
            raw_signature = _decode(signature)
            issued, expires = float(claims["iat"]), float(claims["exp"])
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise TokenError("invalid_grant", "Invalid JWT: malformed.") from error
        if header.get("alg") != "RS256" or header.get("kid", self._key_id) != self._key_id:
            raise TokenError("invalid_grant", "Invalid JWT Signature.")
        try:
            self._public.verify(raw_signature, head.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise TokenError("invalid_grant", "Invalid JWT Signature.") from error
        if claims.get("iss") != self._email:
            raise TokenError("invalid_grant", "Invalid grant: account not found")
        self._check_time(issued, expires)
        return cast("dict[str, Any]", claims)

    def _check_time(self, issued: float, expires: float) -> None:
        now = self._now()
        too_long = expires - issued > LONGEST_ASSERTION_SECONDS + CLOCK_SKEW_SECONDS
        if too_long or issued > now + CLOCK_SKEW_SECONDS or expires < now - CLOCK_SKEW_SECONDS:
            text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
            raise TokenError("invalid_grant", f"{text} Check your iat and exp values in the JWT claim.")

    def _remember(self, table: dict[bytes, _Identity], digest: bytes, identity: _Identity) -> None:
        table[digest] = identity
        if len(table) > _REMEMBERED:
            now = self._now()
            for old in [key for key, value in table.items() if value.expires <= now] or [next(iter(table))]:
                del table[old]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
