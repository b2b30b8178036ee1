"""The local cloud: what the reconciler needs of Kubernetes and Google Cloud, on one machine and without an account.

It imports nothing of the reconciler, so that the two cannot agree by accident; they meet over sockets, through the same
clients that reach Google Cloud.
"""
