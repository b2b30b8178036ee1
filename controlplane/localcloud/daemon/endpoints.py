"""Where this cloud's Google Cloud endpoints are, and the variables by which a process finds them.

On Google Cloud a process needs none of these: the names of the APIs are the same for everybody. Ports are kept over
restarts where they are still free, so that a shell that was given them goes on working.
"""

from collections.abc import Mapping
from pathlib import Path

from controlplane.localcloud.control.gcloud import REST_APIS, gcloud_overrides
from controlplane.localcloud.daemon.cluster import HOST
from controlplane.localcloud.daemon.state import CloudState, StateDir
from controlplane.localcloud.loadbalancer.envoy import any_free_port, port_is_free


class Endpoints:
    """The endpoints of one local cloud."""

    def __init__(self, state: CloudState, directory: StateDir, *, project: str, ca_file: Path) -> None:
        self._state, self._directory, self._project, self._ca_file = state, directory, project, ca_file

    def claim_ports(self) -> None:
        """Choose the ports, those of the last time where they are free."""
        for name in ("gcp_port", "gcp_grpc_port", "storage_port"):
            if not (port := getattr(self._state, name)) or not port_is_free(port):
                setattr(self._state, name, any_free_port())

    def apis(self) -> dict[str, str]:
        """Give where each Google Cloud API answers."""
        return {**dict.fromkeys(REST_APIS, self.rest), "grpc": f"localhost:{self._state.gcp_grpc_port}"}

    @property
    def rest(self) -> str:
        """The address of all APIs that speak REST over TLS, and of their token endpoint."""
        return f"https://localhost:{self._state.gcp_port}"

    @property
    def storage(self) -> str:
        """Cloud Storage's address for clients that know emulators, and those speak plain HTTP."""
        return f"http://{HOST}:{self._state.storage_port}"

    def storage_environment(self) -> dict[str, str]:
        """Give the variables by which Cloud Storage's clients find it here; fsspec's `gs://` comes as the owner."""
        return {
            "STORAGE_EMULATOR_HOST": self.storage,
            "FSSPEC_GS_TOKEN": str(self._directory.storage_credentials_file),
            "FSSPEC_GS_PROJECT": self._project,
            # What kind a bucket is, gcsfs else asks by gRPC, which an emulator does not speak.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }

    def environment(self) -> Mapping[str, str]:
        """Give the variables by which a process finds this cloud where on Google Cloud it would need none."""
        return {
            **gcloud_overrides(self.apis()),
            **self.storage_environment(),
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(self._ca_file),
            "GPUHUNTER_PRICES": str(self._directory.prices_file),
        }
