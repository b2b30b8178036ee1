"""Everything that serving and rendering import sooner or later, and nothing that computes, opens or starts anything.

For a process that others are forked from, which then need no import of their own.
"""

import webui_image.cli
import webui_image.cli.environment
import webui_image.engine.facade
import webui_image.server.serving  # noqa: F401
from webui_image.engine.startup import import_libraries

import_libraries()
