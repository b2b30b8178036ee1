"""From the query of a watch to its stream: which events it begins with, and when it ends."""

from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.presenter import Presenter
from controlplane.localcloud.apiserver.reads import Filter, list_options_error, parse_version
from controlplane.localcloud.apiserver.registry import shelf_name
from controlplane.localcloud.apiserver.request import Request, Target
from controlplane.localcloud.apiserver.schema import FieldError, TypeInfo
from controlplane.localcloud.apiserver.watch import WatchOptions, WatchStream

_LONGEST_SECONDS = 3600.0


def watch_stream(core: Core, request: Request, info: TypeInfo, where: Target) -> WatchStream:
    """Prepare the stream that a request asks for."""
    query = request.query
    options = request.list_options(where.name)
    version = options.resource_version
    bookmarks = request.flag("allowWatchBookmarks")
    marks_end = request.flag("sendInitialEvents")
    match = options.match
    if "sendInitialEvents" in query:
        _check_initial(match, bookmarks=bookmarks, asked=marks_end)
    elif match:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise list_options_error(FieldError("FieldValueForbidden", "resourceVersionMatch", "", text))
    exact = parse_version(version)
    initial = marks_end or ("sendInitialEvents" not in query and exact is None)
    since = None if initial else exact
    timeout = float(request.integer("timeoutSeconds") or _LONGEST_SECONDS)
    presenter = Presenter(core, info, request.header(b"accept"), query.get("includeObject", ""))
    wanted = Filter(info.resource, where.namespace, options.label_selector, options.field_selector)
    return WatchStream(
        core.store,
        core.store.shelf(shelf_name(info)),
        wanted,
        WatchOptions(since, initial, bookmarks, marks_end, timeout),
        render=presenter.event,
        blank=presenter.blank,
    )


def _check_initial(match: str, *, bookmarks: bool, asked: bool) -> None:
    if match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise list_options_error(FieldError("FieldValueForbidden", "resourceVersionMatch", "", text))
    if asked and not bookmarks:
        text = "sendInitialEvents requires allowWatchBookmarks"
        raise list_options_error(FieldError("FieldValueForbidden", "allowWatchBookmarks", "", text))
