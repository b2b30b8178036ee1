"""LoRAs by name: mixed in as the pipeline would, switched cheaply, refused where they do not fit."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from webui_image.engine.lora import ModelLoras
from webui_image.engine.model import Parts
from webui_image.engine.shelf import Hashes, Shelf
from webui_image.values.errors import Invalid
from webui_image.values.generation import Lora

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def _pair(out, width, rank=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rank, width, generator=generator), torch.randn(out, rank, generator=generator)


def _diffusers_format(path, *, width=128, out=64, seed=0):
    down, up = _pair(out, width, seed=seed)
    text_down, text_up = _pair(128, 128, seed=seed + 1)
    weights = {
        f"unet.{LAYER}.lora_A.weight": down,
        f"unet.{LAYER}.lora_B.weight": up,
        f"text_encoder.{TEXT}.lora_A.weight": text_down,
        f"text_encoder.{TEXT}.lora_B.weight": text_up,
    }
    save_file(weights, path)
    return weights


def _kohya_format(path, alpha):
    down, up = _pair(64, 128)
    name = f"lora_unet_{LAYER.replace('.', '_')}"
    save_file(
        {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(alpha)}, path
    )
    return down, up


@pytest.fixture
def folder(tmp_path):
    """Give an empty folder for LoRAs."""
    folder = tmp_path / "loras"
    folder.mkdir()
    return folder


@pytest.fixture
def with_loras(sd1, folder):
    """Give the model, able to use what lies in the folder when it is first asked."""

    def make():
        hashes = Hashes()
        parts = Parts(sd1.unet, sd1.vae, sd1.text_encoders, sd1.tokenizers, {})
        sd1._loras = ModelLoras(parts, "sd1", Shelf(folder, hashes), hashes)
        return sd1

    return make


def _unet(model):
    generator = torch.Generator().manual_seed(7)
    sample, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 77, 128, generator=generator)
    with torch.inference_mode():
        return model.unet(sample, torch.tensor(500), encoder_hidden_states=text, return_dict=False)[0]


def _text(model):
    with torch.inference_mode():
        return model.text_encoders[0](torch.arange(77)[None])[0]


def _weight(model):
    layer = dict(model.unet.named_modules())[LAYER]
    return getattr(layer, "base_layer", layer).weight


def test_a_lora_changes_unet_and_text_as_its_matrices_say(with_loras, folder):
    """The output is that of weights to which strength x B x A was added."""
    weights = _diffusers_format(folder / "style.safetensors")
    model = with_loras()
    plain_unet, plain_text = _unet(model), _text(model)
    model.use_loras((Lora("style", 0.7),))
    unet, text = _unet(model), _text(model)
    model.use_loras(())
    change = weights[f"unet.{LAYER}.lora_B.weight"] @ weights[f"unet.{LAYER}.lora_A.weight"]
    _weight(model).data += 0.7 * change
    assert torch.allclose(unet, _unet(model), atol=1e-4)
    assert not torch.allclose(unet, plain_unet, atol=1e-3)
    assert not torch.allclose(text, plain_text, atol=1e-3)


def test_a_kohya_file_is_scaled_by_its_alpha(with_loras, folder):
    """The other common format counts alpha / rank."""
    down, up = _kohya_format(folder / "style.safetensors", alpha=1.0)
    model = with_loras()
    model.use_loras((Lora("style"),))
    with_it = _unet(model)
    model.use_loras(())
    _weight(model).data += (1.0 / 2) * (up @ down)
    assert torch.allclose(with_it, _unet(model), atol=1e-4)


def test_without_loras_the_model_is_bit_for_bit_as_before(with_loras, folder):
    """Switching a LoRA off leaves no trace."""
    _diffusers_format(folder / "style.safetensors")
    model = with_loras()
    before = _unet(model), _text(model)
    model.use_loras((Lora("style"),))
    model.use_loras(())
    assert torch.equal(_unet(model), before[0])
    assert torch.equal(_text(model), before[1])


def test_several_loras_add_up(with_loras, folder):
    """Two files at once change the weights by the sum of both; a name given twice counts twice."""
    one = _diffusers_format(folder / "one.safetensors", seed=1)
    two = _diffusers_format(folder / "two.safetensors", seed=2)
    model = with_loras()
    model.use_loras((Lora("one", 0.5), Lora("two", -0.25), Lora("one", 0.25)))
    both = _unet(model)
    model.use_loras(())
    for strength, weights in ((0.75, one), (-0.25, two)):
        _weight(model).data += strength * (
            weights[f"unet.{LAYER}.lora_B.weight"] @ weights[f"unet.{LAYER}.lora_A.weight"]
        )
    assert torch.allclose(both, _unet(model), atol=1e-4)


def test_switching_back_reads_no_file(with_loras, folder, mocker):
    """A LoRA stays attached; using it again only changes strengths."""
    for name in ("one", "two"):
        _diffusers_format(folder / f"{name}.safetensors", seed=len(name) + ord(name[0]))
    model = with_loras()
    for name in ("one", "two"):
        model.use_loras((Lora(name),))
    first = _unet(model)
    read = mocker.patch("safetensors.torch.load_file", side_effect=AssertionError("read again"))
    model.use_loras((Lora("one"),))
    model.use_loras((Lora("two"),))
    assert read.call_count == 0
    assert torch.equal(_unet(model), first)


def test_only_so_many_stay_attached(with_loras, folder):
    """The least recently used are taken out of the model again."""
    for number in range(10):
        _diffusers_format(folder / f"style{number}.safetensors", seed=number)
    model = with_loras()
    for number in range(10):
        model.use_loras((Lora(f"style{number}"),))
    assert len(model.unet.peft_config) == 8
    model.use_loras((Lora("style0"),))
    assert len(model.unet.peft_config) == 8


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("stile", id="unknown name"),
        pytest.param("../loras/style", id="path"),
        pytest.param("style.safetensors", id="file name"),
        pytest.param("", id="empty"),
    ],
)
def test_only_listed_names_are_taken(with_loras, folder, name):
    """Any other text is refused with the names that come near, and nothing changes."""
    _diffusers_format(folder / "style.safetensors")
    model = with_loras()
    with pytest.raises(Invalid, match=r"prompt: there is no LoRA .*style") as caught:
        model.use_loras((Lora(name),))
    assert caught.value.field == "prompt"
    assert model.loras == ()


def _wider(path):
    _diffusers_format(path, width=768)


def _unknown_layers(path):
    down, up = _pair(64, 128)
    save_file({"unet.no.such.layer.lora_A.weight": down, "unet.no.such.layer.lora_B.weight": up}, path)


def _xl_kohya(path):
    down, up = _pair(640, 2048)
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    save_file(
        {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(1.0)}, path
    )


def _flux(path):
    down, up = _pair(64, 128)
    save_file({"transformer.blocks.0.lora_A.weight": down, "transformer.blocks.0.lora_B.weight": up}, path)


def _no_lora(path):
    save_file({"decoder.weight": torch.zeros(2, 2)}, path)


def _second_text_encoder(path):
    down, up = _pair(32, 32)
    save_file({f"text_encoder_2.{TEXT}.lora_A.weight": down, f"text_encoder_2.{TEXT}.lora_B.weight": up}, path)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(_wider, id="other widths"),
        pytest.param(_unknown_layers, id="layers that are not there"),
        pytest.param(_xl_kohya, id="made for SDXL"),
        pytest.param(_flux, id="made for a transformer"),
        pytest.param(_no_lora, id="no LoRA at all"),
        pytest.param(_second_text_encoder, id="for a second text encoder"),
    ],
)
def test_a_lora_of_another_architecture_is_refused(with_loras, folder, write):
    """The error names the LoRA and the kind of this model, which stays as it was."""
    write(folder / "foreign.safetensors")
    model = with_loras()
    before = _unet(model)
    with pytest.raises(
        Invalid, match="LoRA 'foreign' was made for another kind of model; this one is Stable Diffusion 1"
    ):
        model.use_loras((Lora("foreign"),))
    assert model.loras == ()
    assert torch.equal(_unet(model), before)


@pytest.mark.parametrize("key", ["lora_unet_x.hada_w1_a", "lora_unet_x.lokr_w1", "lora_unet_x.dora_scale"])
def test_other_kinds_of_changes_are_refused(with_loras, folder, key):
    """LoHa, LoKr and DoRA would be applied wrongly or not at all, so they are refused."""
    save_file({key: torch.zeros(2, 2)}, folder / "style.safetensors")
    with pytest.raises(Invalid, match="LoRA 'style' is of a kind that is not supported"):
        with_loras().use_loras((Lora("style"),))


def test_a_broken_file_is_refused(with_loras, folder):
    """A truncated LoRA is told as such, by name and without its path."""
    _diffusers_format(folder / "style.safetensors")
    path = folder / "style.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(Invalid, match="'style' cannot be used: truncated") as caught:
        with_loras().use_loras((Lora("style"),))
    assert str(folder) not in str(caught.value)


def test_a_failure_among_several_changes_nothing(with_loras, folder):
    """When one of two LoRAs is unknown, the ones in force stay in force."""
    _diffusers_format(folder / "style.safetensors")
    model = with_loras()
    model.use_loras((Lora("style", 0.5),))
    before = _unet(model)
    with pytest.raises(Invalid):
        model.use_loras((Lora("style", 1.0), Lora("nothing")))
    assert model.loras == (Lora("style", 0.5),)
    assert torch.equal(_unet(model), before)


def test_a_lora_for_xl_changes_both_text_encoders(sdxl, folder):
    """SDXL's second text encoder has LoRA layers of its own."""
    pairs = {part: _pair(32, 32, seed=seed) for seed, part in enumerate(("text_encoder", "text_encoder_2"))}
    weights = {}
    for part, (down, up) in pairs.items():
        weights[f"{part}.{TEXT}.lora_A.weight"] = down
        weights[f"{part}.{TEXT}.lora_B.weight"] = up
    save_file(weights, folder / "style.safetensors")
    hashes = Hashes()
    parts = Parts(sdxl.unet, sdxl.vae, sdxl.text_encoders, sdxl.tokenizers, {})
    sdxl._loras = ModelLoras(parts, "sdxl", Shelf(folder, hashes), hashes)
    ids = torch.arange(77)[None]
    with torch.inference_mode():
        before = [encoder(ids, output_hidden_states=True).hidden_states[-1] for encoder in sdxl.text_encoders]
        sdxl.use_loras((Lora("style"),))
        after = [encoder(ids, output_hidden_states=True).hidden_states[-1] for encoder in sdxl.text_encoders]
    assert [torch.allclose(one, other, atol=1e-4) for one, other in zip(before, after, strict=True)] == [False, False]


@pytest.mark.parametrize(
    ("said", "strength"),
    [
        pytest.param(True, 1.0, id="its scale is in the file"),
        pytest.param(False, 0.5, id="without a scale, alpha counts as the rank: 4 instead of 8"),
    ],
)
def test_written_by_diffusers_is_read_back(sd1_directory, with_loras, folder, said, strength):
    """A LoRA saved by diffusers itself from a trained adapter gives that adapter's output."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipeline = StableDiffusionPipeline.from_pretrained(sd1_directory)
    torch.manual_seed(0)
    pipeline.unet.add_adapter(LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    metadata = pipeline.unet.peft_config["default"].to_dict() if said else None
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(pipeline.unet), unet_lora_adapter_metadata=metadata
    )
    (folder / "pytorch_lora_weights.safetensors").rename(folder / "saved.safetensors")
    assert load_file(folder / "saved.safetensors")
    model = with_loras()
    model.use_loras((Lora("saved"),))
    pipeline.unet.set_adapters("default", strength)
    assert torch.allclose(_unet(model), _unet(pipeline), atol=1e-4)
