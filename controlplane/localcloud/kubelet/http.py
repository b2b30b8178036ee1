"""One HTTP GET for probes and preStop hooks: the status code and nothing else, without an HTTP library's memory."""

import asyncio
import os
import ssl
from collections.abc import Mapping

USER_AGENT = "kube-probe/1.37"


class HttpError(Exception):
    """No answer, and why, in the words of Go's HTTP client."""


async def http_status(
    scheme: str, host: str, port: int, path: str, *, headers: Mapping[str, str], seconds: float
) -> int:
    """Send a GET and give the status code of the answer."""
    try:
        async with asyncio.timeout(seconds):
            return await _ask(scheme, host, port, path, headers)
    except TimeoutError as error:
        raise HttpError("context deadline exceeded (Client.Timeout exceeded while awaiting headers)") from error
    except ssl.SSLError as error:
        raise HttpError(f"tls: {error.reason}") from error
    except ConnectionResetError as error:
        raise HttpError("read: connection reset by peer") from error
    except OSError as error:
        raise HttpError(dial_failure(host, port, error)) from error


def dial_failure(host: str, port: int, error: OSError) -> str:
    """Say why there is no connection, in the words of Go's dialer."""
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"dial tcp {host}:{port}: connect: {reason}"


async def _ask(scheme: str, host: str, port: int, path: str, headers: Mapping[str, str]) -> int:
    tls = _insecure_tls() if scheme.upper() == "HTTPS" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        names = {name.lower() for name in headers}
        lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {host}:{port}")
        if "user-agent" not in names:
            lines.append(f"User-Agent: {USER_AGENT}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace"))
        line = await reader.readline()
    finally:
        writer.close()
    parts = line.split()
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        raise HttpError("EOF" if not line else "malformed HTTP response")
    return int(parts[1])


def _insecure_tls() -> ssl.SSLContext:
    """Give the TLS of probes, which never check certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
