"""What needs a stream into a Pod's sandbox, which does not exist here: refused with a word on what to do instead."""

from controlplane.localcloud.apiserver.api import ApiError

_INSTEAD = {
    "attach": "read the container's output with `kubectl logs -f`",
    "exec": "Pods are ordinary processes of this computer: look at them with its own tools",
    "portforward": "the Pod's own address (`kubectl get pod -o wide`) can be reached from this computer",
    "proxy": "the Pod's own address (`kubectl get pod -o wide`) can be reached from this computer",
}


def refuse_stream(resource: str, subresource: str) -> None:
    """Raise 501 for a subresource that needs a stream."""
    if resource == "pods" and subresource in _INSTEAD:
        text = f"the local cloud has no {subresource} for Pods: {_INSTEAD[subresource]}"
        raise ApiError(501, "NotImplemented", text)
