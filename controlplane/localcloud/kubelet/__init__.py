"""Pods as real processes: the kubelet of the local cloud."""

from controlplane.localcloud.kubelet.images import ImageMap, ImageMapError
from controlplane.localcloud.kubelet.kubelet import Kubelet

__all__ = ["ImageMap", "ImageMapError", "Kubelet"]
