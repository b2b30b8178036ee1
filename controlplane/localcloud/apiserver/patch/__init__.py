"""The four kinds of patch, and managedFields."""

from controlplane.localcloud.apiserver.patch.apply import server_side_apply
from controlplane.localcloud.apiserver.patch.jsonpatch import json_patch
from controlplane.localcloud.apiserver.patch.managed import track_update
from controlplane.localcloud.apiserver.patch.merge import merge_patch
from controlplane.localcloud.apiserver.patch.strategic import strategic_merge_patch

__all__ = ["json_patch", "merge_patch", "server_side_apply", "strategic_merge_patch", "track_update"]
