"""The whole engine on a small model with random weights: started, used by several, drained."""

import threading

import pytest

from webui_image.clock import SystemClock
from webui_image.engine import build
from webui_image.engine.facade import EngineSettings
from webui_image.engine.sources import Sources
from webui_image.metrics import Metrics
from webui_image.values.errors import HandedBack, Invalid, NotReady, Unsupported
from webui_image.values.events import Failed, Final, Finished, PictureDone, Step
from webui_image.values.generation import Generation
from webui_image.values.ports import Phase

PATIENCE = 100


class Listener:
    """Keeps a request's events; waits for its end."""

    def __init__(self):
        self.events = []
        self._over = threading.Event()
        self._stepped = threading.Event()

    def __call__(self, event):
        self.events.append(event)
        if isinstance(event, Step):
            self._stepped.set()
        if isinstance(event, Final):
            self._over.set()

    def end(self):
        assert self._over.wait(PATIENCE)
        return self.events[-1]

    @property
    def steps(self):
        return sum(isinstance(event, Step) for event in self.events)

    def stepped(self):
        assert self._stepped.wait(PATIENCE)


def wait_for(engine, *phases):
    never, clock = threading.Event(), SystemClock()
    for _ in range(PATIENCE * 50):
        if engine.status().phase in phases:
            return engine.status()
        clock.wait(never, 0.02)
    raise AssertionError(engine.status())


def made(directory, tmp_path, metrics=None):
    sources = Sources(model_uri=str(directory), cache_dir=tmp_path / "cache", shipped=tmp_path / "none")
    return build(EngineSettings(sources, device="cpu", threads=1), metrics=metrics, clock=SystemClock())


@pytest.fixture
def engine(sd1_directory, tmp_path):
    """Give an engine that is ready."""
    engine = made(sd1_directory, tmp_path)
    engine.start()
    wait_for(engine, Phase.READY)
    yield engine
    engine.close()


def asked(**settings):
    return Generation("a red circle", **({"width": 64, "height": 64, "steps": 4} | settings))


def test_an_engine_that_is_not_started_takes_nothing(sd1_directory, tmp_path):
    """Before it is ready, requests are sent elsewhere; models can be listed at once."""
    engine = made(sd1_directory, tmp_path)
    assert engine.status().phase is Phase.STARTING
    assert [info.name for info in engine.models()] == [sd1_directory.name]
    with pytest.raises(NotReady, match="starting"):
        engine.submit(asked(), user="anna", deliver=lambda _event: None)


def test_a_ready_engine_has_drawn_and_draws(engine):
    """Ready means that a picture has come out; what is asked for comes with its seed and the model's name."""
    status = engine.status()
    assert status.seconds_since_success is not None
    assert {name for name, _ in status.phase_seconds} == {"importing", "loading", "warming"}
    heard = Listener()
    engine.submit(asked(seed=3, count=2), user="anna", deliver=heard)
    assert isinstance(heard.end(), Finished)
    done = [event for event in heard.events if isinstance(event, PictureDone)]
    assert sorted((event.index, event.seed, event.image.size) for event in done) == [(0, 3, (64, 64)), (1, 4, (64, 64))]


@pytest.mark.parametrize(
    ("settings", "error", "field"),
    [
        ({"model": "nobody"}, Invalid, "sd_model_checkpoint"),
        ({"vae": "nobody.safetensors"}, Unsupported, "sd_vae"),
        ({"sampler": "nobody"}, Invalid, "sampler_name"),
        ({"width": 12}, Invalid, "width"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_engine_cannot_do_is_refused_at_once(engine, settings, error, field):
    """A refusal comes from submit itself and names the field."""
    with pytest.raises(error) as refused:
        engine.submit(asked(**settings), user="anna", deliver=lambda _event: None)
    assert refused.value.field == field


def test_an_unknown_lora_is_refused_at_once(engine):
    """A LoRA tag that names none of the listed is an error, not a picture without it."""
    with pytest.raises(Invalid, match="no LoRA 'nobody'"):
        engine.submit(Generation("<lora:nobody:1>", width=64, height=64), user="anna", deliver=lambda _event: None)


def test_cancelling_frees_the_engine_at_once(engine):
    """After the cancellation at most the steps under way are made, of more than a thousand, and nothing is left."""
    heard = Listener()
    ticket = engine.submit(asked(steps=150, count=8), user="anna", deliver=heard)
    heard.stepped()
    ticket.cancel()
    made = heard.steps
    heard.end()
    status = engine.status()
    assert (status.waiting, status.running) == (0, 0)
    assert heard.steps - made <= 2 * 8  # each picture's


def test_draining_hands_back_what_does_not_fit(engine):
    """After drain the engine is idle, takes nothing, and every request has had its answer."""
    heard = Listener()
    engine.submit(asked(steps=150, count=8), user="anna", deliver=heard)
    heard.stepped()
    engine.drain(0.05)
    end = heard.end()
    assert isinstance(end, Failed)
    assert isinstance(end.error, HandedBack)
    assert engine.status().phase is Phase.DRAINING
    with pytest.raises(NotReady):
        engine.submit(asked(), user="anna", deliver=heard)


def test_a_model_that_cannot_be_loaded_is_told(sd1_directory, tmp_path):
    """An engine without a usable model fails with the reason, takes nothing and can be closed."""
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(sd1_directory, broken)
    shutil.rmtree(broken / "tokenizer")
    engine = made(broken, tmp_path)
    engine.start()
    status = wait_for(engine, Phase.FAILED)
    assert "tokenizer" in status.detail
    with pytest.raises(NotReady, match="tokenizer"):
        engine.submit(asked(), user="anna", deliver=lambda _event: None)
    engine.close()


def test_metrics_hear_of_steps_and_phases(sd1_directory, tmp_path):
    """Calls, waits and the start are counted; the rehearsal before is not."""
    metrics = Metrics()
    engine = made(sd1_directory, tmp_path, metrics)
    engine.start()
    wait_for(engine, Phase.READY)
    heard = Listener()
    engine.submit(asked(steps=4), user="anna", deliver=heard)
    heard.end()
    text = metrics.text().decode()
    engine.close()
    assert "sdwebui_steps_total 4.0" in text
    assert "sdwebui_queue_wait_seconds_count 1.0" in text
    assert 'phase="loading"' in text
