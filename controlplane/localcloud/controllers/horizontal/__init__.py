"""The HorizontalPodAutoscaler, as kube-controller-manager has it: what it measures, what it asks for, what it tells."""

from controlplane.localcloud.controllers.horizontal.controller import RESOURCE as AUTOSCALERS
from controlplane.localcloud.controllers.horizontal.controller import HorizontalController
from controlplane.localcloud.controllers.horizontal.samples import MeasuredCpu, NoMetrics, PodMetrics, Sample

__all__ = ["AUTOSCALERS", "HorizontalController", "MeasuredCpu", "NoMetrics", "PodMetrics", "Sample"]
