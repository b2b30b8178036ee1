"""What the renderer's tests share: an engine without a model, and a run with it."""

import importlib.util
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from webui_image.batch import run
from webui_image.batch.parameters import read
from webui_image.clock import SystemClock

FAKE = Path(__file__).with_name("fake_engine.py")


@pytest.fixture(scope="session")
def fake():
    """Give the module with the fake engine; its `path` is a script that renders with it."""
    spec = importlib.util.spec_from_file_location("fake_engine", FAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.path = FAKE
    return module


@pytest.fixture
def batch(tmp_path, fake):
    """Write a parameters file and render it: `batch(text)` gives the result, `batch.engine` the engine that did it."""

    def render(text=None, *, name="shapes.yaml", stop=None, reporter=None, kind=None, **options):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        engine_options = {key: options.pop(key) for key in list(options) if key in ENGINE}
        hashes = options.pop("hashes", lambda _: "")
        found.engine = None

        def engine():
            found.engine = (kind or fake.FakeEngine)(**engine_options)
            return found.engine

        return run.render(
            read(path),
            tmp_path,
            tmp_path / "out",
            engine,
            options=run.Options(**{"grace": 0.5, **options}),
            clock=SystemClock(),
            stop=stop or threading.Event(),
            reporter=reporter or fake.Quiet(),
            hashes=hashes,
        )

    class Rendered(SimpleNamespace):
        def __call__(self, *args, **kwargs):
            return render(*args, **kwargs)

    found = Rendered(engine=None, out=tmp_path / "out", folder=tmp_path / "out" / "shapes")
    return found


ENGINE = {"seconds", "steps", "together", "limit", "errors", "model_hash"}
