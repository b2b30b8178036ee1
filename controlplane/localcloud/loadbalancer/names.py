"""What Google's controllers call the Compute resources that they make.

Whoever looks at a project sees by the name which product a resource belongs to, and it is the same each time it is
made; a resource's name has at most 63 characters, so long ones end in a hash.
"""

import hashlib


def digest(text: str, length: int) -> str:
    """Give a short stable hash for a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def resource_name(rest: str) -> str:
    """Give a Compute resource's name as Multi Cluster Ingress makes it: mci-, six characters of the fleet, the rest."""
    name = f"mci-{digest('gpu-hunter', 6)}-{rest}"
    return name if len(name) <= 63 else f"{name[:56]}{digest(rest, 7)}"


def gateway_name(rest: str) -> str:
    """Give a Compute resource's name as the multi-cluster Gateway controller makes it: gkemcg1-, the rest, a hash."""
    return f"gkemcg1-{rest[:42].rstrip('-')}-{digest(rest, 12)}"
