"""How the reconciler proves itself to Google Cloud and to the clusters' API servers: one credentials object for all.

Tokens are not per cluster. They are refreshed in one place under a lock, ahead of the call that needs one, so that a
failed refresh is never mistaken for a request that may have got through.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.clock import Clock, SystemClock
from controlplane.gateways import elsewhere
from controlplane.gateways.errors import AuthExpired, ConfigurationProblem
from controlplane.gateways.meter import Meter
from controlplane.gateways.sanitise import sanitise

CONNECTIONS = 32
RENEW_AFTER = 60.0
"""Seconds between two tokens that are asked for because a server refused the one before its time."""
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True, slots=True)
class Project:
    """The Google Cloud project, and where its APIs are when not at the usual addresses.

    endpoints: URLs by API: container, compute, gkehub. credentials_file: None means the environment's own (ADC).
    ca_file: a certificate authority of one's own for those endpoints.
    """

    name: str
    endpoints: Mapping[str, str] = field(default_factory=dict)
    credentials_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """An account's email, its own project and the project its calls are billed to; empty where it does not tell."""

    email: str
    project: str
    quota_project: str


class GoogleAccess:
    """Credentials and clients for one project; `meter` counts what is asked of its APIs."""

    def __init__(self, project: Project, clock: Clock | None = None) -> None:
        self.project, self._clock, self.meter = project, clock or SystemClock(), Meter()
        self._renewed_at: float | None = None
        self._credentials: Any = None
        self._session: Any = None
        self._lock = threading.Lock()

    def token(self) -> str:
        """Give a valid access token."""
        return self._granted()[0]

    def _granted(self) -> elsewhere.Granted:
        with self._lock:
            credentials = self._load()
            if not credentials.valid:
                from google.auth.transport.requests import Request

                credentials.refresh(Request(session=self._session))
            if not credentials.token:
                raise AuthExpired("the credentials gave no access token")
            return str(credentials.token), credentials.expiry

    def refused(self, token: str) -> bool:
        """Take down that a server did not accept this token; say whether `token` gives another one now.

        A token may end before its time: a key was rotated, an account revoked and granted again. Left to itself, the
        library would go on handing it out for the rest of its hour.
        """
        with self._lock:
            credentials = self._load()
            if credentials.token != token:
                return True
            now = self._clock.monotonic()
            if self._renewed_at is not None and now - self._renewed_at < RENEW_AFTER:
                return False
            self._renewed_at, credentials.token = now, None
            return True

    def client(self, api: str, factory: Any) -> Any:
        """Build a google-cloud client over REST with our credentials, endpoint and certificate authority."""
        with self._lock:
            credentials = self._load()
        url = self.project.endpoints.get(api)
        options = None if url is None else {"api_endpoint": url}
        if url is not None and elsewhere.is_elsewhere(url):
            payer = str(getattr(credentials, "quota_project_id", "") or "")
            credentials = elsewhere.credentials_of(self._granted, self.refused, payer)
        client = factory(transport="rest", credentials=credentials, client_options=options)
        # The clients offer no parameter for what follows but the process-wide REQUESTS_CA_BUNDLE.
        session = client.transport._session  # noqa: SLF001
        for scheme in ("https://", "http://"):
            session.mount(scheme, _adapter(self.meter))
        if self.project.ca_file is not None:
            _trust_only(session, self.project.ca_file)
            refresher = getattr(session, "_auth_request_session", None)
            if refresher is not None:
                _trust_only(refresher, self.project.ca_file)
        return client

    def identity(self) -> Identity:
        """Say who the credentials are, as far as they tell; a token was got before."""
        with self._lock:
            credentials = self._load()
            email = str(getattr(credentials, "service_account_email", "") or getattr(credentials, "account", "") or "")
            own = str(getattr(credentials, "project_id", "") or "")
            return Identity(email, own, str(getattr(credentials, "quota_project_id", "") or ""))

    def account(self) -> str:
        """Give the email that calls are made as; empty where the credentials do not tell. Raises GatewayError."""
        self.token()
        return self.identity().email

    def session(self) -> Any:
        """Give a session for plain REST calls with our certificate authority; the caller adds the token."""
        import requests

        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, _adapter(self.meter))
        if self.project.ca_file is not None:
            _trust_only(session, self.project.ca_file)
        return session

    def _load(self) -> Any:
        if self._credentials is None:
            import google.auth
            import requests

            self._session = requests.Session()
            if self.project.ca_file is not None:
                _trust_only(self._session, self.project.ca_file)
            path = self.project.credentials_file
            try:
                if path is None:
                    self._credentials, _ = google.auth.default(scopes=SCOPES)
                else:
                    self._credentials, _ = google.auth.load_credentials_from_file(str(path), scopes=SCOPES)
            except google.auth.exceptions.DefaultCredentialsError as error:
                where = "the environment" if path is None else str(path)
                raise ConfigurationProblem(
                    f"no usable credentials in {where}: {sanitise(error, 120)};"
                    " run `gcloud auth application-default login` or name a service account's key file"
                ) from error
        return self._credentials


def _adapter(meter: Meter) -> Any:
    """Give a transport that counts its requests and keeps as many connections as calls are made at once.

    The usual ten would thrash.
    """
    from requests.adapters import HTTPAdapter

    class Counting(HTTPAdapter):
        def send(self, *arguments: Any, **options: Any) -> Any:
            meter.count()
            return super().send(*arguments, **options)

    return Counting(pool_maxsize=CONNECTIONS)


def _trust_only(session: Any, ca_file: Path) -> None:
    """Have a requests session trust one authority. REQUESTS_CA_BUNDLE would win over `verify`, so it is not read."""
    session.verify = str(ca_file)
    session.trust_env = False
