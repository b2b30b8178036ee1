"""The texts of Warden's denials, word for word as far as they are known (the GPU type and count ones are ours)."""

CAPABILITIES = (
    "AUDIT_WRITE,CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,MKNOD,NET_BIND_SERVICE,NET_RAW,SETFCAP,SETGID,SETPCAP,SETUID,"
    "SYS_CHROOT,SYS_PTRACE"
)

NO_ACCELERATOR = (
    "When requesting 'nvidia.com/gpu' resources, you must specify either node selector "
    "'cloud.google.com/gke-accelerator' with accelerator type or node selector 'cloud.google.com/compute-class' with "
    "existing custom compute class which has at least one GPU priority rule."
)
TOLERATION_WITHOUT_GPU = (
    "The toleration with key 'nvidia.com/gpu' and operator 'Exists' cannot be specified if the pod does not request to "
    "use GPU in Autopilot."
)
MACHINE_FAMILY = (
    'Pods with node selector or affinity for "cloud.google.com/machine-family" must also specify compute class '
    '"Performance".'
)


def too_much_ephemeral(workload: str, most: str) -> str:
    return (
        f"Total ephemeral-storage requested by containers for workload '{workload}' is higher than the Autopilot "
        f"maximum of '{most}'."
    )


def too_much(workload: str, resource: str, asked: str, most: str) -> str:
    return f"workload '{workload}' {resource} requests '{asked}' is higher than the Autopilot maximum of '{most}'."


def too_little_for_anti_affinity(workload: str, asked: str) -> str:
    return (
        f"workload '{workload}' cpu requests '{asked}' is lower than the Autopilot minimum required of '500m' for "
        "using pod anti affinity."
    )


def capability(name: str, container: str) -> str:
    return (
        f"linux capability '{name}' on container '{container}' not allowed; Autopilot only allows the capabilities: "
        f"'{CAPABILITIES}'."
    )


def written_host_path(volume: str, container: str) -> str:
    return f"hostPath volume {volume} in container {container} is accessed in write mode; disallowed in Autopilot."


def managed_namespace(resource: str, name: str, namespace: str, verb: str, user: str) -> str:
    plural, _, group = resource.partition(".")
    return (
        f'{resource} "{name}" is forbidden: User "{user}" cannot {verb} resource "{plural}" in API group "{group}" in '
        f'the namespace "{namespace}": GKE Warden authz [denied by managed-namespaces-limitation]: the namespace '
        f'"{namespace}" is managed and the request\'s verb "{verb}" is denied'
    )
