"""What stops the load balancer from starting, said in one line with a remedy."""


class LoadBalancerError(Exception):
    """The load balancer cannot run as asked."""
