"""Tables: what `kubectl get` shows."""

from controlplane.localcloud.apiserver.schema.jsonpath import find, first
from controlplane.localcloud.apiserver.tables.table import table

__all__ = ["find", "first", "table"]
