"""How clients prove themselves to APIs that are not at Google's: by the same tokens, and asking Google nothing beside.

With the calls of a client google-auth looks up at iamcredentials.googleapis.com, in the background, to which regions a
service account is bound, wherever the client's endpoint is. A local cloud's account is unknown there, and its name is
nobody else's business. Nothing switches the lookup off: GOOGLE_AUTH_TRUST_BOUNDARY_ENABLED has no effect any more
(github.com/googleapis/google-cloud-python/issues/17653). Credentials that a handler gives their tokens look nothing up.
Source: google-auth's reference of google.oauth2.credentials.Credentials, refresh_handler.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

Granted = tuple[str, datetime | None]
"""A token, and until when it is good: naive, in UTC, as google-auth has it."""


def is_elsewhere(url: str) -> bool:
    """Tell whether an API's address is none of Google's."""
    return not f".{urlsplit(url).hostname or ''}".endswith(".googleapis.com")


def credentials_of(granted: Callable[[], Granted], refused: Callable[[str], bool], payer: str = "") -> Any:
    """Give credentials for such APIs.

    granted: gives a valid token. refused: is told of one that was not accepted, and says whether there is another now.
    payer: the project that calls are billed to.
    """
    from google.oauth2.credentials import Credentials

    def renew(_request: object, scopes: object = None) -> Granted:  # noqa: ARG001
        token, expiry = granted()
        if token == lent.token and refused(token):
            token, expiry = granted()
        return token, expiry

    lent = Credentials(token=None, refresh_handler=renew, quota_project_id=payer or None)
    return lent
