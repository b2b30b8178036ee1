"""Servers for the contract suite: the local API server always, a real kube-apiserver where its binaries are.

`KUBEBUILDER_ASSETS` names a folder with `etcd` and `kube-apiserver` (envtest's convention). Both servers speak TLS with
a CA of their own and take one bearer token; neither runs controllers.
"""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import os
import secrets
import selectors
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

READY_SECONDS = 200.0
PACE = 10  # how much faster time passes for the local server: its watches and its patience end that much sooner
MEDIA = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass(frozen=True)
class Target:
    """A server under test."""

    kind: str
    url: str
    ca_file: Path
    token: str
    kubeconfig: Path
    version: tuple[int, int]
    pace: int = 1  # how many of its seconds pass in one of ours


class Http:
    """A raw client that knows paths, patch types and how to read a watch."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.client = httpx.Client(
            base_url=target.url,
            verify=str(target.ca_file),
            headers={"Authorization": f"Bearer {target.token}", "User-Agent": "contract/1"},
            timeout=60,
        )

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return self.client.request(method, path, json=body, params=query, headers=headers)

    def get(self, path: str, accept: str = "application/json", **query: Any) -> httpx.Response:
        return self.client.get(path, params=query, headers={"Accept": accept})

    def create(self, path: str, body: Any, **query: Any) -> Any:
        response = self("POST", path, body, **query)
        assert response.status_code == 201, response.text
        return response.json()

    def patch(self, path: str, kind: str, patch: Any, **query: Any) -> httpx.Response:
        content = patch if isinstance(patch, bytes) else json.dumps(patch).encode()
        return self.client.patch(path, content=content, params=query, headers={"Content-Type": MEDIA[kind]})

    def watch(self, path: str, seconds: int = 1, accept: str = "application/json", **query: Any) -> list[Any]:
        """Give all events of a watch that the server ends after so many seconds."""
        query = {"watch": "true", "timeoutSeconds": seconds, **query}
        with self.client.stream("GET", path, params=query, headers={"Accept": accept}) as response:
            if response.status_code != 200:
                response.read()
                return [{"type": "HTTP", "code": response.status_code, "object": response.json()}]
            return [json.loads(line) for line in response.iter_lines() if line]


class Pki:
    """A CA, a serving certificate for loopback, and a token."""

    def __init__(self, folder: Path) -> None:
        self.ca_file, self.cert, self.key = folder / "ca.crt", folder / "tls.crt", folder / "tls.key"
        self.token = secrets.token_hex(16)
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "contract-ca")])
        ca_ski = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
        ca = (
            self._builder(ca_name, ca_name, ca_key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(ca_ski, critical=False)
            .add_extension(self._usage(sign=True), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        cert = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]), ca_name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_ski), critical=False)
            .add_extension(self._usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(private_pem(key))

    @staticmethod
    def _builder(subject: x509.Name, issuer: x509.Name, public: Any) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    @staticmethod
    def _usage(*, sign: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not sign, key_cert_sign=sign, crl_sign=sign, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip


def private_pem(key: Any) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def finished(kind: str, url: str, pki: Pki, folder: Path, pace: int = 1) -> Target:
    """Wait until a server is ready, and write its kubeconfig."""
    kubeconfig = folder / "kubeconfig"
    cluster = {
        "server": url,
        "certificate-authority-data": base64.b64encode(pki.ca_file.read_bytes()).decode(),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "c", "user": {"token": pki.token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "default"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    headers = {"Authorization": f"Bearer {pki.token}"}
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            ready = httpx.get(f"{url}/api/v1/namespaces/default", verify=str(pki.ca_file), headers=headers)
            if ready.status_code == 200:
                break
        except httpx.HTTPError:
            pass
        assert time.monotonic() < end, f"{kind} did not become ready"
        time.sleep(0.1)
    version = httpx.get(f"{url}/version", verify=str(pki.ca_file), headers=headers).json()
    number = int(version["major"]), int(version["minor"])
    return Target(kind, url, pki.ca_file, pki.token, kubeconfig, number, pace)


class Hasty(selectors.DefaultSelector):
    """Waits a fraction of what it is told to."""

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout / PACE if timeout else timeout)


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop for which time passes faster: timers and time-outs, but not what answers."""

    def __init__(self) -> None:
        super().__init__(Hasty())

    def time(self) -> float:
        return super().time() * PACE


def local_server(folder: Path) -> Iterator[Target]:
    """Run the local API server in a thread of its own, in which time passes faster."""
    from controlplane.localcloud.apiserver.server import ApiServer
    from controlplane.localcloud.clock import SystemClock
    from controlplane.localcloud.faults import FaultBook
    from controlplane.localcloud.serving import serve

    class HastyClock(SystemClock):
        def monotonic(self) -> float:
            return super().monotonic() * PACE

    pki = Pki(folder)
    loop = HastyLoop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Any:
        server = ApiServer(
            "contract",
            clock=HastyClock(),
            database=folder / "state.db",
            authenticate=lambda token: "admin" if token == pki.token else None,
            faults=FaultBook(),
        )
        return server, await serve(server.app, "127.0.0.1", 0, pki.cert, pki.key)

    api, running = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield finished("local", f"https://127.0.0.1:{running.port}", pki, folder, PACE)
    finally:

        async def stop() -> None:
            await running.stop()
            api.close()

        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def real_server(folder: Path, assets: Path) -> Iterator[Target]:
    """Start etcd and kube-apiserver, and end both."""
    pki = Pki(folder)
    account_key = folder / "sa.key"
    account_key.write_bytes(private_pem(rsa.generate_private_key(65537, 2048)))
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{pki.token},admin,admin,"system:masters"\n')
    etcd_port, peer_port, port = free_port(), free_port(), free_port()
    etcd_url, peer_url = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    etcd = [
        str(assets / "etcd"), "--name=contract", f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={etcd_url}",
        f"--advertise-client-urls={etcd_url}", f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}", f"--initial-cluster=contract={peer_url}",
    ]  # fmt: skip
    api = [
        str(assets / "kube-apiserver"), f"--etcd-servers={etcd_url}", "--bind-address=127.0.0.1",
        f"--secure-port={port}", f"--tls-cert-file={pki.cert}", f"--tls-private-key-file={pki.key}",
        f"--cert-dir={folder / 'certs'}", f"--token-auth-file={tokens}", "--anonymous-auth=false",
        "--authorization-mode=RBAC", "--service-account-issuer=https://127.0.0.1",
        f"--service-account-signing-key-file={account_key}", f"--service-account-key-file={account_key}",
        "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
    ]  # fmt: skip
    usage = subprocess.run([api[0], "--help"], capture_output=True, text=True, check=False).stdout
    if "--insecure-port" in usage:
        api.append("--insecure-port=0")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for name, command in (("etcd", etcd), ("apiserver", api)):
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        yield finished("real", f"https://127.0.0.1:{port}", pki, folder)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _assets() -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    path = Path(folder)
    return path if (path / "etcd").exists() and (path / "kube-apiserver").exists() else None


@pytest.fixture(scope="session", params=["local", "real"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Give a running server."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "local":
        yield from local_server(folder)
        return
    assets = _assets()
    if assets is None:
        pytest.skip("KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver")
    yield from real_server(folder, assets)


@pytest.fixture(scope="session")
def http(target: Target) -> Http:
    """Give a raw client."""
    return Http(target)


@pytest.fixture
def ns(http: Http) -> str:
    """Give a fresh namespace."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    http.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def since(target: Target) -> Any:
    """Give a function that skips the test on servers older than a version."""

    def check(major: int, minor: int) -> None:
        if target.version < (major, minor):
            pytest.skip(f"needs {major}.{minor}, this is {target.version[0]}.{target.version[1]}")

    return check


@pytest.fixture(scope="session")
def kubectl(target: Target) -> Any:
    """Give a function that runs the real kubectl."""
    binary = Path(sys.executable).parent / "kubectl"
    found = str(binary) if binary.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl")

    def run(*arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(target.kubeconfig), "HOME": str(target.kubeconfig.parent)}
        done = subprocess.run(
            [found, *arguments], input=stdin, capture_output=True, text=True, env=environment, timeout=150, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def client(target: Target) -> Any:
    """Give the official Python client."""
    from kubernetes.client import ApiClient
    from kubernetes.config import new_client_from_config

    made: ApiClient = new_client_from_config(str(target.kubeconfig))
    return made
