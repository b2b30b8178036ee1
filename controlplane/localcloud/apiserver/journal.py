"""What survives a kill: a sqlite file in WAL mode, written in groups.

Writes of one turn of the event loop share one transaction. An HTTP answer waits for its transaction, so nothing that
was acknowledged is lost when the process is killed; a crash of the whole machine may lose the last moments, which a
local cloud can bear and a write per fsync could not.
"""

import asyncio
import logging
import secrets
import sqlite3
from pathlib import Path

import orjson

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.records import Record

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, rv INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_PUT = "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)"
_REMOVE = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
_FIRST_VERSION = 1


class Journal:
    """The file, or nothing at all where none is wanted."""

    def __init__(self, path: Path | None) -> None:
        self._connection: sqlite3.Connection | None = None
        self._pending: dict[tuple[str, str, str], Record | None] = {}
        self._rv = _FIRST_VERSION
        self._committed: asyncio.Future[None] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(_SCHEMA)

    def load(self) -> tuple[int, list[tuple[str, Record]]]:
        """Give the last resourceVersion and every object."""
        if self._connection is None:
            return self._rv, []
        row = self._connection.execute("SELECT value FROM facts WHERE name = 'rv'").fetchone()
        self._rv = row[0] if row else _FIRST_VERSION
        rows = self._connection.execute("SELECT resource, rv, body FROM objects")
        return self._rv, [(resource, Record(orjson.loads(body), rv)) for resource, rv, body in rows]

    def key(self) -> bytes:
        """Give the cluster's own secret, made when it is first asked for."""
        fresh = secrets.token_bytes(32)
        if self._connection is None:
            return fresh
        self._connection.execute("INSERT OR IGNORE INTO secrets VALUES ('key', ?)", (fresh,))
        row: tuple[bytes] = self._connection.execute("SELECT value FROM secrets WHERE name = 'key'").fetchone()
        return row[0]

    def put(self, resource: str, key: tuple[str, str], record: Record) -> None:
        """Note a new version."""
        self._note((resource, *key), record, record.rv)

    def remove(self, resource: str, key: tuple[str, str], rv: int) -> None:
        """Note a deletion."""
        self._note((resource, *key), None, rv)

    def _note(self, row: tuple[str, str, str], record: Record | None, rv: int) -> None:
        self._rv = rv
        if self._connection is None:
            return
        self._pending[row] = record
        if self._committed is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
                return
            self._committed = loop.create_future()
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is pending, in one transaction; what cannot be written stays pending for the next one."""
        waiting, self._committed = self._committed, None
        try:
            self._write()
        except sqlite3.Error as error:
            log.exception("the state cannot be written")
            if waiting is not None and not waiting.done():
                waiting.set_exception(ApiError(500, "InternalError", f"Internal error occurred: {error}"))
                waiting.exception()  # nobody may be waiting for it
            return
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def _write(self) -> None:
        connection = self._connection
        if connection is None or not self._pending:
            return
        with connection:
            connection.execute("BEGIN")
            for row, record in self._pending.items():
                if record is None:
                    connection.execute(_REMOVE, row)
                else:
                    connection.execute(_PUT, (*row, record.rv, record.bytes))
            connection.execute("INSERT OR REPLACE INTO facts VALUES ('rv', ?)", (self._rv,))
        self._pending.clear()

    async def committed(self) -> None:
        """Wait until everything noted so far would survive a kill."""
        if self._committed is not None:
            await asyncio.shield(self._committed)

    def close(self) -> None:
        """Write what is pending and let the file go."""
        self.flush()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
