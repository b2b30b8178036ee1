"""The rules of an inbox, which the reconciler and the function on AWS keep alike: what is a file, a mark, a name.

<inbox>/<file>                      what users put there; it stays
<inbox>/batches/<name>-<digest>/    the copy that is rendered
<inbox>/taken/<file>@<version>      the marks
<inbox>/rejected/<file>             what is wrong, and beside it `<file>.txt` which says why
"""

import hashlib
import re

ENDINGS = (".yaml", ".yml", ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".png")
_LONGEST = 30  # of a GPUBatch's name
_DIGITS = 8
_MARK = re.compile(r"[^A-Za-z0-9._-]")


def wanted(name: str) -> bool:
    """Say whether a name below the inbox may be that of a parameters file: directly there, with a known ending."""
    return "/" not in name and not name.startswith(".") and name.lower().endswith(ENDINGS)


def mark(name: str, version: str) -> str:
    """Give the name, in the folder `taken`, of the mark of a file's version."""
    return f"{name}@{_MARK.sub('-', version)}"


def batch_name(name: str, digest: str, output: str) -> str:
    """Give the name of a file's batch: the same for the same content and output, so that twice is one batch."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "batch"
    told = hashlib.sha256(f"{digest} {output}".encode()).hexdigest()
    slug = slug if slug[0].isalpha() else f"b-{slug}"
    return f"{slug[: _LONGEST - _DIGITS - 1].rstrip('-')}-{told[:_DIGITS]}"
