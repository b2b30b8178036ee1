"""GKE's own labels, taints and component names, as its documentation and its autoscaler write them."""

from controlplane.localcloud.scenario import FLEX_START, ON_DEMAND, SPOT

GPU = "nvidia.com/gpu"

ACCELERATOR = "cloud.google.com/gke-accelerator"
ACCELERATOR_COUNT = "cloud.google.com/gke-accelerator-count"
COMPUTE_CLASS = "cloud.google.com/compute-class"
DRIVER_VERSION = "cloud.google.com/gke-gpu-driver-version"
FLEX = "cloud.google.com/gke-flex-start"
MACHINE_FAMILY = "cloud.google.com/machine-family"
NODE_POOL = "cloud.google.com/gke-nodepool"
PROVISIONING = "cloud.google.com/gke-provisioning"
SPOT_LABEL = "cloud.google.com/gke-spot"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"

MAINTENANCE = "cloud.google.com/active-node-maintenance"
MAINTENANCE_TIME = "cloud.google.com/scheduled-maintenance-time"
TERMINATION_TAINT = "cloud.google.com/impending-node-termination"
NOT_READY_TAINT = "node.kubernetes.io/not-ready"
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"

UNHELPABLE_SINCE = "cloud.google.com/cluster_autoscaler_unhelpable_since"
UNHELPABLE_UNTIL = "cloud.google.com/cluster_autoscaler_unhelpable_until"
ADJUSTMENT = "autopilot.gke.io/resource-adjustment"
WARDEN_VERSION = "autopilot.gke.io/warden-version"

SCHEDULER = "gke.io/optimize-utilization-scheduler"
AUTOSCALER = "cluster-autoscaler"

# The value of the provisioning label for each way of selling capacity.
PROVISIONING_OF = {ON_DEMAND: "standard", SPOT: "spot", FLEX_START: "flex-start"}
CAPACITY_OF = {label: capacity for capacity, label in PROVISIONING_OF.items()}
BUILT_IN_CLASSES = frozenset({"Accelerator", "Balanced", "Performance", "Scale-Out", "autopilot", "autopilot-spot"})
