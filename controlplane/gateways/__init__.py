"""All I/O of the reconciler: Kubernetes API servers and Google Cloud, behind the small Protocols of `engine.ports`.

Foreign SDKs are imported here only, and inside functions, so that `--help` answers at once. Foreign errors leave this
package as the classes of `errors`, foreign text leaves it through `sanitise`.
"""
