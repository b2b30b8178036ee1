"""Types, decoding, defaulting, validation and OpenAPI documents of the API server, as pure functions over dictionaries.

The order in which a request uses them: `decode` (or `unknown_fields` first, where field validation is strict),
`apply_defaults`, `validate` or `validate_update`, and `refuse` for the complaints.
"""

from controlplane.localcloud.apiserver.schema.custom import types_from_crd
from controlplane.localcloud.apiserver.schema.defaults import apply_defaults
from controlplane.localcloud.apiserver.schema.defaults_workloads import generate_job_selector
from controlplane.localcloud.apiserver.schema.errors import FieldError, bad_request
from controlplane.localcloud.apiserver.schema.node import Node
from controlplane.localcloud.apiserver.schema.openapi import openapi_v3_document, openapi_v3_index
from controlplane.localcloud.apiserver.schema.types import (
    PrinterColumn,
    ScalePaths,
    TypeInfo,
    builtin_type,
    builtin_types,
)
from controlplane.localcloud.apiserver.schema.validate import refuse, validate, validate_update
from controlplane.localcloud.apiserver.schema.walk import decode, decode_extra, prune, strict_error, unknown_fields

__all__ = [
    "FieldError",
    "Node",
    "PrinterColumn",
    "ScalePaths",
    "TypeInfo",
    "apply_defaults",
    "bad_request",
    "builtin_type",
    "builtin_types",
    "decode",
    "decode_extra",
    "generate_job_selector",
    "openapi_v3_document",
    "openapi_v3_index",
    "prune",
    "refuse",
    "strict_error",
    "types_from_crd",
    "unknown_fields",
    "validate",
    "validate_update",
]
