"""The streaming API over loopback: what its lines say, what is refused before, that closing it cancels."""

import base64
import io
import json
import socket

import pytest
from PIL import Image

from webui_image.server import stream
from webui_image.server.settings import Access, Key, Limits, Place
from webui_image.values.errors import HandedBack, NotFinite, OutOfMemory, Wedged
from webui_image.values.generation import MaskFill, ResizeMode
from webui_image.values.ports import Phase


def lines_of(client, **body):
    """Give the lines of a request that is expected to be taken."""
    answer = client.post("/api/generate", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def of_kind(lines, kind):
    """Give the lines of one type."""
    return [line for line in lines if line["type"] == kind]


def data_uri(size=(64, 64), colour="red"):
    """Give a small PNG as a browser sends it."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


class TestLines:
    def test_a_request_ends_with_its_pictures(self, client):
        """Accepted, steps with previews, each picture once, then done and nothing after it."""
        lines = lines_of(client, prompt="a house", seed=7, count=2, steps=3)
        kinds = [line["type"] for line in lines]
        assert kinds[0] == "accepted"
        assert kinds[-1] == "done"
        assert [line["index"] for line in of_kind(lines, "picture")] == [0, 1]
        assert [line["seed"] for line in of_kind(lines, "picture")] == [7, 8]
        assert any(line["preview"].startswith("data:image/jpeg;base64,") for line in of_kind(lines, "step"))

    def test_a_picture_carries_its_parameters(self, client):
        """The PNG is a picture of the size asked for, with the text of the line inside, and the text is A1111's."""
        lines = lines_of(client, prompt="a house", negative_prompt="fog", seed=7, steps=3)
        line = of_kind(lines, "picture")[0]
        image = Image.open(io.BytesIO(base64.b64decode(line["png"])))
        assert image.size == (line["width"], line["height"]) == (64, 64)
        assert image.info["parameters"] == line["parameters"]
        assert line["parameters"].startswith("a house\nNegative prompt: fog\nSteps: 3, ")
        assert "Seed: 7" in line["parameters"]
        assert "Model hash: aaaaaaaaaa" in line["parameters"]

    def test_it_says_where_it_is_drawn(self, start):
        """The first line names region, GPU and version of the replica."""
        place = Place(region="europe-west4", accelerator="nvidia-l4", version="1.2")
        with start(place=place).client() as client:
            line = lines_of(client, prompt="x")[0]
        assert line["served"] == {"region": "europe-west4", "gpu": "nvidia-l4", "version": "1.2"}

    def test_what_is_left_out_is_what_the_model_draws_best_with(self, client, engine):
        """Size, steps and guidance come from the model's recommended block; null means the same as nothing."""
        lines_of(client, prompt="x", steps=None)
        made = engine.submitted[-1].generation
        assert (made.width, made.height, made.steps, made.cfg_scale) == (64, 64, 12, 2.5)
        assert made.model == "shapes"

    def test_a_seed_is_drawn_and_told(self, client):
        """Without a seed one is drawn, told in the first line, and is the picture's."""
        lines = lines_of(client, prompt="x", steps=1)
        assert of_kind(lines, "picture")[0]["seed"] == lines[0]["seed"]
        assert 0 <= lines[0]["seed"] < 2**32

    def test_no_previews_where_none_are_wanted(self, client):
        """With previews off a step is a few bytes."""
        lines = lines_of(client, prompt="x", steps=2, previews=False)
        assert all("preview" not in line for line in lines)

    def test_nobody_may_hold_lines_back(self, client):
        """The headers forbid buffering, storing and transforming."""
        answer = client.post("/api/generate", json={"prompt": "x", "steps": 1})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert "content-length" not in answer.headers

    def test_silence_is_broken(self, client, engine, monkeypatch):
        """While nothing happens the last state is said again, so that nobody on the way takes the stream for dead."""
        monkeypatch.setattr(stream, "SILENCE", 0.02)
        engine.hold()
        with client.stream("POST", "/api/generate", json={"prompt": "x", "steps": 1}) as answer:
            lines = answer.iter_lines()
            first = [json.loads(next(lines)) for _ in range(5)]
            assert [line["type"] for line in first] == ["accepted", *["queued"] * 4]
            engine.release()
            assert json.loads(list(lines)[-1])["type"] == "done"

    def test_a_waiting_request_knows_its_place(self, client, engine):
        """The second of two is told how many are before it."""
        engine.hold()
        with client.stream("POST", "/api/generate", json={"prompt": "one"}):
            assert engine.wait_until(lambda: engine.status().running == 1)
            with client.stream("POST", "/api/generate", json={"prompt": "two"}) as two:
                first, second = (json.loads(line) for _, line in zip(range(2), two.iter_lines(), strict=False))
                assert (first["type"], second) == ("accepted", {"type": "queued", "position": 0})
                engine.release()


class TestRequest:
    def test_pictures_reach_the_engine(self, client, engine):
        """Start picture and mask arrive decoded, with their settings."""
        lines_of(
            client, prompt="x", steps=1, image=data_uri(), mask=data_uri(colour="white"), denoising_strength=0.4,
            resize_mode="fill", mask_blur=2, mask_fill="noise", mask_padding=8, mask_invert=True, only_masked=True,
        )  # fmt: skip
        source = engine.submitted[-1].generation.source
        assert source.image.getpixel((0, 0)) == (255, 0, 0)
        assert (source.denoising_strength, source.resize_mode) == (0.4, ResizeMode.FILL)
        mask = source.mask
        assert mask.image.getpixel((0, 0)) == 255
        assert (mask.blur, mask.fill, mask.padding, mask.invert) == (2, MaskFill.LATENT_NOISE, 8, True)
        assert mask.only_masked

    def test_all_settings_reach_the_engine(self, client, engine):
        """Variation, second pass, sampler and the rest arrive as they were asked for."""
        variation = {"seed": 5, "strength": 0.25}
        hires = {"scale": 1.5, "steps": 2, "upscaler": "lanczos", "denoising_strength": 0.3, "sampler": "Heun"}
        lines_of(
            client, prompt="x", width=72, height=80, steps=1, cfg_scale=3, sampler="euler a", scheduler="simple",
            model="dream", exact=True, clip_skip=2, variation=variation, hires=hires,
        )  # fmt: skip
        made = engine.submitted[-1].generation
        assert (made.width, made.height, made.cfg_scale) == (72, 80, 3)
        assert (made.sampler, made.scheduler, made.model) == ("Euler a", "Simple", "dream")
        assert (made.exact, made.clip_skip, made.variation.seed, made.variation.strength) == (True, 2, 5, 0.25)
        assert (made.hires.scale, made.hires.steps, made.hires.upscaler) == (1.5, 2, "Lanczos")
        assert made.hires.sampler == "Heun"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            pytest.param({"width": 65}, "width", id="size-not-of-8"),
            pytest.param({"height": 4096}, "height", id="too-high"),
            pytest.param({"steps": 0}, "steps", id="no-steps"),
            pytest.param({"steps": "many"}, "steps", id="steps-in-words"),
            pytest.param({"cfg_scale": 1000}, "cfg_scale", id="guidance"),
            pytest.param({"sampler": "Euclid"}, "sampler", id="sampler"),
            pytest.param({"scheduler": "Weekly"}, "scheduler", id="schedule"),
            pytest.param({"seed": 2**32}, "seed", id="seed"),
            pytest.param({"count": 9}, "count", id="count"),
            pytest.param({"model": "gone"}, "model", id="model"),
            pytest.param({"prompt": "x" * 2001}, "prompt", id="prompt"),
            pytest.param({"image": "%%%"}, "image", id="not-base64"),
            pytest.param({"image": "http://169.254.169.254/"}, "image", id="address"),
            pytest.param({"image": data_uri(), "denoising_strength": 2}, "denoising_strength", id="change"),
            pytest.param({"mask": data_uri()}, "mask", id="mask-without-picture"),
            pytest.param({"image": data_uri(), "mask": data_uri(), "mask_blur": 99}, "mask_blur", id="blur"),
            pytest.param({"hires": {"scale": 9}}, "hires.scale", id="scale"),
            pytest.param({"hires": {"upscaler": "Magic"}}, "hires.upscaler", id="upscaler"),
            pytest.param({"hires": {"sampler": "Euclid"}}, "hires.sampler", id="second-sampler"),
            pytest.param({"variation": {"seed": 1, "strength": 3}}, "variation.strength", id="variation"),
            pytest.param({"promt": "x"}, "promt", id="misspelt"),
        ],
    )
    def test_refused_at_the_field(self, client, engine, body, field):
        """A mistake is a 422 that names the field as the body has it; the engine hears nothing of it."""
        answer = client.post("/api/generate", json={"prompt": "x", **body})
        assert answer.status_code == 422, answer.text
        assert ".".join(answer.json()["detail"][0]["loc"][1:]) == field
        assert not engine.submitted

    def test_a_picture_too_large(self, start, engine):
        """Too many pixels are a 413 at the field, before they are decoded."""
        with start(limits=Limits(input_pixels=1000)).client() as client:
            answer = client.post("/api/generate", json={"prompt": "x", "image": data_uri()})
        assert answer.status_code == 413
        assert answer.json()["detail"][0]["loc"] == ["body", "image"]
        assert not engine.submitted

    @pytest.mark.parametrize(
        ("prepare", "status"),
        [
            pytest.param(lambda engine: setattr(engine, "largest_queue", 0), 429, id="queue-full"),
            pytest.param(lambda engine: setattr(engine, "phase", Phase.DRAINING), 503, id="draining"),
            pytest.param(lambda engine: setattr(engine, "models_listed", ()), 503, id="no-model-yet"),
        ],
    )
    def test_what_may_pass_says_when(self, client, engine, prepare, status):
        """What is known before the stream begins is a status of its own, with the time to wait."""
        prepare(engine)
        answer = client.post("/api/generate", json={"prompt": "x"})
        assert answer.status_code == status
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["retry"] is True

    def test_a_stranger_is_refused(self, start):
        """Without the key there is neither a picture nor a listing."""
        access = Access(api_keys=(Key("anna", "ab" * 32),))
        with start(access=access).client() as client:
            assert client.post("/api/generate", json={"prompt": "x"}).status_code == 401
            assert client.get("/api/info").status_code == 401


class TestEnd:
    @pytest.mark.parametrize(
        ("error", "code", "retry"),
        [
            pytest.param(HandedBack("going away", retry_after=2), "handed_back", True, id="handed-back"),
            pytest.param(Wedged("the device does not answer"), "wedged", True, id="wedged"),
            pytest.param(OutOfMemory("ask for less"), "out_of_memory", False, id="out-of-memory"),
            pytest.param(NotFinite("no numbers"), "not_finite", False, id="not-finite"),
        ],
    )
    def test_an_error_is_the_last_line(self, client, engine, error, code, retry):
        """The stream says what went wrong and whether sending it again can help."""
        engine.fail_with = error
        line = lines_of(client, prompt="x")[-1]
        assert (line["type"], line["code"], line["retry"]) == ("error", code, retry)
        assert line["message"] == str(error)
        assert line.get("retry_after") == getattr(error, "retry_after", None)

    def test_cancelled_by_its_user_elsewhere(self, client, engine):
        """Where another program of the same user cancels, the stream ends with a line that says so."""
        engine.hold()
        with client.stream("POST", "/api/generate", json={"prompt": "x"}) as answer:
            lines = answer.iter_lines()
            next(lines)
            engine.submitted[-1].cancel()
            line = json.loads(list(lines)[-1])
        assert (line["type"], line["code"], line["retry"]) == ("error", "cancelled", False)

    def test_a_fault_of_our_own_tells_nothing_of_itself(self, client, engine, monkeypatch):
        """An unforeseen error ends the stream with a line that shows no inside."""

        async def broken(*_):
            raise RuntimeError("secret path")

        monkeypatch.setattr(stream.Lines, "_picture", broken)
        line = lines_of(client, prompt="x", steps=1)[-1]
        assert (line["type"], line["code"], line["retry"]) == ("error", "internal", False)
        assert "secret" not in json.dumps(line)

    @pytest.mark.parametrize("lines_read", [1, 4], ids=["at-once", "while-drawing"])
    def test_closing_the_connection_cancels(self, client, engine, lines_read):
        """When the client has gone the engine is idle within a second, having made few steps more."""
        engine.step_seconds = 0.02
        with client.stream("POST", "/api/generate", json={"prompt": "x", "steps": 150}) as answer:
            for _, _ in zip(range(lines_read), answer.iter_lines(), strict=False):
                pass
        assert engine.wait_until(lambda: engine.idle)
        assert engine.submitted[-1].cancelled

    def test_one_who_waits_and_goes_is_forgotten(self, client, engine):
        """A request that is still in the queue is cancelled too."""
        engine.hold()
        with client.stream("POST", "/api/generate", json={"prompt": "one"}) as one:
            first = one.iter_lines()
            next(first)
            with client.stream("POST", "/api/generate", json={"prompt": "two"}) as two:
                next(two.iter_lines())
            assert engine.wait_until(lambda: engine.submitted[1].cancelled)
            assert not engine.submitted[0].cancelled

    def test_a_reader_that_does_not_read_is_given_up(self, server, engine, monkeypatch):
        """Lines are not heaped up for it: after the patience its request is cancelled."""
        monkeypatch.setattr(stream, "PATIENCE", 0.2)
        monkeypatch.setattr(stream.Lines, "of", _large_line)
        engine.step_seconds = 0.001
        body = json.dumps({"prompt": "x", "steps": 150, "count": 8}).encode()
        head = "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        with socket.create_connection(("127.0.0.1", server.port)) as deaf:
            deaf.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
            assert engine.wait_until(lambda: engine.submitted and engine.submitted[-1].cancelled)

    def test_requests_are_counted(self, client, server, engine):
        """Metrics know of pictures, of failures by reason and of those given up."""
        lines_of(client, prompt="x", steps=1)
        engine.fail_with = NotFinite("no numbers")
        lines_of(client, prompt="x")
        text = server.metrics.text().decode()
        assert 'pictures_total{kind="generate"} 1.0' in text
        assert 'kind="generate",reason="not_finite"} 1.0' in text


async def _large_line(*_):
    return {"type": "step", "index": 0, "step": 1, "steps": 2, "padding": "x" * 1_000_000}


class TestInfo:
    def test_it_is_all_that_a_page_needs(self, client):
        """Models with what they draw best with, names, limits and the place, in one small answer."""
        answer = client.get("/api/info")
        info = answer.json()
        assert info["phase"] == "ready"
        assert [model["name"] for model in info["models"]] == ["shapes", "dream"]
        assert info["models"][0]["recommended"]["steps"] == 12
        assert {"name", "schedulers"} == set(info["samplers"][0])
        assert "Lanczos" in info["upscalers"]
        assert info["loras"] == ["blue"]
        assert info["limits"]["pictures"] == 8
        assert set(info["served"]) == {"region", "gpu", "version"}
        assert len(answer.content) < 8192

    def test_it_answers_while_the_model_loads(self, client, engine):
        """A page that is early learns how far the replica is."""
        engine.phase, engine.detail, engine.models_listed = Phase.DOWNLOADING, "12 of 48 MB", ()
        info = client.get("/api/info").json()
        assert (info["phase"], info["detail"], info["models"]) == ("downloading", "12 of 48 MB", [])


class TestPngInfo:
    def test_a_picture_of_ours_is_read_back(self, client):
        """What a picture carries comes out again as the fields of a request."""
        line = of_kind(lines_of(client, prompt="a house", seed=7, steps=3), "picture")[0]
        answer = client.post("/api/png-info", json={"image": line["png"]}).json()
        assert answer["info"] == line["parameters"]
        assert (answer["parameters"]["prompt"], answer["parameters"]["seed"]) == ("a house", 7)

    def test_a_picture_without_a_text(self, client):
        """There are no parameters, and that is not an error."""
        answer = client.post("/api/png-info", json={"image": data_uri()})
        assert (answer.status_code, answer.json()["parameters"]) == (200, None)

    def test_what_is_no_picture_is_refused(self, client):
        """The answer names the field."""
        answer = client.post("/api/png-info", json={"image": "aGVsbG8="})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "image"]
