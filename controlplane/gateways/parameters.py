"""Parameters files and the folders they lie in, through the web UI's own reader: the one place that knows the format.

What a file names besides itself (prompt lists, pictures to start from) is read with it, so that all of it can be put
where nobody changes it any more. The web UI's errors become ours here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from controlplane.gateways.errors import ConfigurationProblem, ServerFault
from controlplane.gateways.sanitise import scrub

if TYPE_CHECKING:
    from webui_image.batch.places import Tray as WebTray


class Tray(Protocol):
    """A folder from which files are taken. Raises GatewayError for what cannot be reached."""

    def read(self, name: str, limit: int | None = None) -> bytes | None: ...

    def versions(self, folder: str = "") -> Mapping[str, str]: ...

    def names(self, folder: str = "") -> frozenset[str]: ...

    def publish(self, name: str, content: bytes) -> None: ...

    def remove(self, name: str, version: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Parameters:
    """A parameters file that was read and checked.

    name: of the results' folder. digest: of the file, whatever it is called, and of all that it names. pixel_steps: the
    work that it asks for. files: the file and what it names, by name below the folder.
    """

    name: str
    digest: str
    pictures: int
    pixel_steps: int
    files: Mapping[str, bytes] = field(repr=False)


class ParametersReader:
    """Reads parameters files."""

    @staticmethod
    def tray(uri: str) -> Tray:
        """Open a folder."""
        from webui_image.batch.places import place_of

        with _ours():
            return _Told(place_of(uri))

    def pictures(self, uri: str) -> int | str:
        """Count the pictures of a file; a text with every problem where it is wrong."""
        from webui_image.batch.places import split

        with _ours():
            folder, name = split(uri)
        found = self.read(self.tray(folder), name)
        return found if isinstance(found, str) else found.pictures

    @staticmethod
    def read(tray: Tray, name: str) -> Parameters | str:
        """Read and check a file of a folder; a text with one line for each problem where it is wrong."""
        from webui_image.batch.parameters import ParametersError
        from webui_image.batch.snapshot import snapshot

        try:
            found = snapshot(tray, name)
        except ParametersError as error:
            return str(error)
        return Parameters(found.name, found.digest, found.pictures, found.pixel_steps, found.files)


class _Told:
    """A folder of the web UI's whose errors are ours."""

    def __init__(self, tray: "WebTray") -> None:
        self._tray = tray

    def read(self, name: str, limit: int | None = None) -> bytes | None:
        with _ours():
            return self._tray.read(name, limit)

    def versions(self, folder: str = "") -> Mapping[str, str]:
        with _ours():
            return self._tray.versions(folder)

    def names(self, folder: str = "") -> frozenset[str]:
        with _ours():
            return self._tray.names(folder)

    def publish(self, name: str, content: bytes) -> None:
        with _ours():
            self._tray.publish(name, content)

    def remove(self, name: str, version: str) -> bool:
        with _ours():
            return self._tray.remove(name, version)


@contextmanager
def _ours() -> Iterator[None]:
    from webui_image.batch.places import PlaceError
    from webui_image.values.errors import NotReady

    try:
        yield
    except PlaceError as error:
        raise ConfigurationProblem(scrub(str(error))) from error
    except NotReady as error:
        raise ServerFault(scrub(str(error))) from error
    except OSError as error:
        raise ConfigurationProblem(scrub(f"{error.filename or 'the folder'}: {error.strerror or error}")) from error
