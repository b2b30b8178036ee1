"""Reading Kubernetes' protobuf bodies."""

from controlplane.localcloud.apiserver.protobuf.decode import MAGIC, MEDIA_TYPE, decode

__all__ = ["MAGIC", "MEDIA_TYPE", "decode"]
