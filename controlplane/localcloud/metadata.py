"""The metadata server that a Cloud Run job finds, on loopback, for as long as somebody wants one.

The local cloud does not run one by itself: whoever may connect to a metadata server gets a token. Set the variables of
`environment` for a process, and google-auth takes its credentials from here as it does on Google Cloud.
"""

import http.server
import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_ROOT = "/computeMetadata/v1/"
_ACCOUNT = f"{_ROOT}instance/service-accounts/default/"
_FLAVOR = {"Metadata-Flavor": "Google"}


class MetadataServer:
    """Serves the project, the service account and its access token while it is open. `token` is called each time."""

    def __init__(self, project: str, email: str, token: Callable[[], str]) -> None:
        self._project, self._email, self._token = project, email, token
        self.asked: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that lead google-auth here."""
        return {"GCE_METADATA_HOST": self._address, "GCE_METADATA_IP": self._address}

    def __enter__(self) -> Self:
        answer = self._answer

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, kind, body = answer(self.path, self.headers.get("Metadata-Flavor", ""))
                self.send_response(status)
                for name, value in {**_FLAVOR, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, target: str, flavor: str) -> tuple[int, str, bytes]:
        path = target.partition("?")[0]
        self.asked.append(path)
        if path == "/":
            return 200, "text/plain", b"computeMetadata/\n"
        if flavor != "Google":
            return 403, "text/plain", b"Missing Metadata-Flavor:Google header."
        account = {
            "aliases": ["default"],
            "email": self._email,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
        if path == _ACCOUNT:
            return 200, "application/json", json.dumps(account).encode()
        if path == f"{_ACCOUNT}token":
            token = {"access_token": self._token(), "expires_in": 3599, "token_type": "Bearer"}
            return 200, "application/json", json.dumps(token).encode()
        texts = {
            f"{_ACCOUNT}email": self._email,
            f"{_ROOT}project/project-id": self._project,
            f"{_ROOT}universe/universe-domain": "googleapis.com",
        }
        return (200, "application/text", texts[path].encode()) if path in texts else (404, "text/plain", b"")
