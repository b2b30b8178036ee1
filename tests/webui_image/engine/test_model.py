"""A loaded model turns pictures into latents and back as the pipelines do, within the memory there is."""

import numpy as np
import pytest
import torch

from webui_image.engine.devices import Device
from webui_image.engine.model import LoadedModel, Parts
from webui_image.values.errors import Invalid, NotFinite, OutOfMemory
from webui_image.values.generation import Lora
from webui_image.values.ports import ModelInfo

CPU = Device(torch.device("cpu"), torch.float32, torch.float32, "cpu")


def _latents(count=1, side=8, seed=0):
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(seed))


def _pipeline(name, directory):
    import diffusers

    return getattr(diffusers, name).from_pretrained(directory)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param("sd1", "StableDiffusionPipeline", id="tiny autoencoder"),
        pytest.param("sdxl", "StableDiffusionXLPipeline", id="full autoencoder of SDXL"),
    ],
)
def test_decoding_one_row_is_bit_for_bit_the_pipelines(request, kind, name):
    """The picture equals what the pipeline makes of the same latents."""
    model, pipeline = request.getfixturevalue(kind), _pipeline(name, request.getfixturevalue(f"{kind}_directory"))
    latents = _latents()
    with torch.no_grad():
        image = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    expected = np.asarray(pipeline.image_processor.postprocess(image, output_type="pil")[0])
    assert np.array_equal(model.decode(latents)[0], expected)


def test_rows_decoded_together_are_those_decoded_alone(sd1):
    """A batch differs from its rows alone by a rounding at most."""
    latents = _latents(5)
    together = sd1.decode(latents).astype(int)
    alone = np.concatenate([sd1.decode(row[None]) for row in latents]).astype(int)
    assert together.shape == (5, 64, 64, 3)
    assert np.abs(together - alone).max() <= 1


def test_encoding_a_picture_is_the_pipelines(sdxl, sdxl_directory):
    """Latents are drawn from the autoencoder's distribution with the generator, and scaled."""
    vae = _pipeline("StableDiffusionXLPipeline", sdxl_directory).vae
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        sample = vae.encode(image).latent_dist.sample(torch.Generator().manual_seed(3))
    ours = sdxl.encode_picture(image, torch.Generator().manual_seed(3))
    assert torch.equal(ours, vae.config.scaling_factor * sample)


def test_encoding_without_a_generator_takes_the_mode(sdxl):
    """Two encodings without a generator are the same."""
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(sdxl.encode_picture(image), sdxl.encode_picture(image))


def test_added_conditions_are_the_pipelines(sdxl, sdxl_directory):
    """Sizes come as height and width, original and target alike, with no crop."""
    pipeline = _pipeline("StableDiffusionXLPipeline", sdxl_directory)
    pooled = torch.rand(2, 32)
    ours = sdxl.added_conditions(pooled, [(64, 128), (72, 80)])
    theirs = pipeline._get_add_time_ids((128, 64), (0, 0), (128, 64), torch.float32, 32)
    assert torch.equal(ours["time_ids"][:1], theirs)
    assert ours["time_ids"][1].tolist() == [80, 72, 0, 0, 80, 72]
    assert torch.equal(ours["text_embeds"], pooled)


def test_only_xl_has_added_conditions(sd1):
    """Other kinds take none."""
    assert sd1.added_conditions(None, [(64, 64)]) is None


class _Config(dict):
    __getattr__ = dict.get


class _Unet:
    config = _Config(in_channels=4)

    def set_attention_slice(self, size):
        self.sliced = size


class _Vae:
    """An autoencoder that makes pictures of what `decoded` gives, and keeps the sizes of its batches."""

    config = _Config(latent_channels=4, scaling_factor=1.0)

    def __init__(self, decoded):
        self.dtype = torch.float16
        self.batches = []
        self.tiled = False
        self._decoded = decoded

    def decode(self, latents, return_dict):
        self.batches.append(len(latents))
        return (self._decoded(self, latents),)

    def to(self, dtype):
        self.dtype = dtype

    def enable_tiling(self):
        self.tiled = True


def _model(decoded):
    parts = Parts(_Unet(), _Vae(decoded), (object(),), (object(),), {})
    return LoadedModel(ModelInfo("m", "m", "", "sd1"), parts, CPU)


def _picture(latents):
    return torch.zeros(len(latents), 3, latents.shape[2] * 8, latents.shape[3] * 8)


def test_batches_are_bounded_by_pixels():
    """A million pixels are decoded at once, and one row however large."""
    model = _model(lambda _vae, latents: _picture(latents))
    model.decode(torch.zeros(6, 4, 64, 64))
    model.decode(torch.zeros(2, 4, 192, 192))
    assert model.vae.batches == [4, 2, 1, 1]


def test_out_of_memory_is_answered_with_smaller_batches():
    """Rows come one by one when the device has no memory for more, and stay so."""

    def decoded(_vae, latents):
        if len(latents) > 1:
            raise torch.OutOfMemoryError
        return _picture(latents)

    model = _model(decoded)
    assert model.decode(torch.zeros(3, 4, 8, 8)).shape == (3, 64, 64, 3)
    assert model.vae.batches == [3, 1, 1, 1]
    assert not model.vae.tiled


def test_a_row_too_large_is_decoded_in_tiles():
    """When one row alone is too much, the autoencoder works in tiles from then on."""

    def decoded(vae, latents):
        if not vae.tiled:
            raise torch.OutOfMemoryError
        return _picture(latents)

    model = _model(decoded)
    assert model.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 64, 64, 3)
    assert model.unet.sliced == "auto"


def test_no_memory_at_all_is_told():
    """When tiles do not help either, the error says what to do."""

    def decoded(_vae, _latents):
        raise torch.OutOfMemoryError

    with pytest.raises(OutOfMemory, match="smaller"):
        _model(decoded).decode(torch.zeros(2, 4, 8, 8))


def test_an_overflow_in_half_precision_is_decoded_again_in_single():
    """NaN from a half-precision autoencoder moves it to single precision for good."""
    model = _model(lambda vae, latents: _picture(latents) / (vae.dtype == torch.float32))
    assert (model.decode(torch.zeros(1, 4, 8, 8)) == 128).all()
    assert model.vae.dtype == torch.float32


def test_numbers_that_are_none_are_an_error():
    """NaN in single precision is not shown as a black picture."""
    with pytest.raises(NotFinite):
        _model(lambda _vae, latents: _picture(latents) * torch.nan).decode(torch.zeros(1, 4, 8, 8))


def test_latents_of_another_scale_are_normalised():
    """An SDXL autoencoder with means and deviations of its own is read with them, both ways."""
    parts = Parts(_Unet(), _Vae(lambda _vae, latents: latents[:, :3]), (object(), object()), (object(), object()), {})
    parts.vae.config = _Config(latent_channels=4, scaling_factor=0.5, latents_mean=[1.0] * 4, latents_std=[2.0] * 4)
    model = LoadedModel(ModelInfo("m", "m", "", "sdxl"), parts, CPU)
    latents = _latents()
    assert torch.allclose(model._unscaled(latents), latents * 2 / 0.5 + 1)
    assert torch.allclose(model._scaled(model._unscaled(latents)), latents, atol=1e-5)


def test_a_lora_without_a_folder_is_refused(sd1):
    """The error names the LoRA and the setting that is missing."""
    sd1.use_loras(())
    with pytest.raises(Invalid, match=r"prompt: .*'style'.*LORA_DIR"):
        sd1.use_loras((Lora("style"),))


def test_attributes_say_what_the_loop_needs(sd1):
    """Channels, prediction type and kind come from the configurations."""
    assert (sd1.latent_channels, sd1.prediction_type, sd1.inpainting, sd1.is_sdxl) == (4, "v_prediction", False, False)
    assert sd1.bytes == sum(
        p.numel() * 4 for part in (sd1.unet, sd1.vae, *sd1.text_encoders) for p in part.parameters()
    )
