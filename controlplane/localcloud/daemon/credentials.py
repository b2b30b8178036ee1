"""The service account key files that clients of the local cloud are given, like those from `gcloud iam`.

The key stays the same over restarts, so that tokens stay good; only the token endpoint's port may differ.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.pki import write_private
from controlplane.localcloud.gcp.tokens import new_credentials


def ensure_credentials(path: Path, project: str, token_uri: str) -> dict[str, str]:
    """Give the key, made at the first start."""
    try:
        key: dict[str, str] | None = json.loads(path.read_text())
    except FileNotFoundError:
        key = None
    except (OSError, ValueError) as error:
        raise LocalCloudError(f"{path}: cannot be read ({error}); `gpuhunter local reset` starts afresh") from error
    if key is None or key.get("project_id") != project:
        key = new_credentials(project, token_uri)
    key["token_uri"] = token_uri
    write_private(path, json.dumps(key, indent=1).encode())
    return key


def write_storage_credentials(path: Path, key: Mapping[str, str], token_uri: str) -> None:
    """Write the same key for clients of Cloud Storage alone, which get their tokens beside it, without TLS."""
    write_private(path, json.dumps({**key, "token_uri": token_uri}).encode())
