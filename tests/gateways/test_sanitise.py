"""Foreign text is data: no control characters, no credentials, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateways.sanitise import LIMIT, sanitise

CANARY = "c4n4ry-" + "Zx9" * 12

SECRETS = {
    "bearer": f"Authorization: Bearer {CANARY}",
    "bearer in JSON": f'{{"authorization": "Bearer {CANARY}"}}',
    "google access token": f"token was ya29.{CANARY}",
    "jwt": f"eyJhbGciOiJSUzI1NiJ9.{CANARY}.{CANARY}",
    "api key": f"key=AIza{CANARY}",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
    "private key cut off": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}",
    "password": f"password={CANARY}",
    "client secret": f'"client_secret": "{CANARY}"',
    "assertion": f"grant_type=jwt&assertion={CANARY}",
    "refresh token": f"refresh_token: {CANARY}",
    "url": f"https://user:{CANARY}@host/path",
    "github": f"ghp_{CANARY.replace('-', '')}",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_credentials_are_masked(text):
    """Nothing that looks like a credential survives."""
    assert CANARY.replace("-", "")[:12] not in sanitise("before " + text + " after").replace("-", "")


@given(st.text(max_size=2000))
def test_any_text_becomes_one_bounded_line(text):
    """Whatever comes in, one printable line of at most 256 characters comes out."""
    clean = sanitise(text)
    assert len(clean) <= LIMIT
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u202e\u200b" for c in clean)


def test_ordinary_messages_stay():
    """What is harmless is not touched."""
    message = "Node scale up in zones us-central1-a associated with this pod failed: GCE out of resources."
    assert sanitise(message) == message
