"""Keys and values of prompts are computed once, and make no difference to what comes out."""

import pytest
import torch

from webui_image.engine import attention
from webui_image.engine.attention import Prompts
from webui_image.engine.conditioning import Row


def rows(count, tokens=77, width=128):
    chance = torch.Generator().manual_seed(tokens)
    return [Row(torch.randn((1, tokens, width), generator=chance)) for _ in range(count)]


def drawn(unet, text):
    chance = torch.Generator().manual_seed(1)
    latents = torch.randn((len(text), 4, 8, 8), generator=chance)
    times = torch.arange(len(text), dtype=torch.float32) * 100
    with torch.inference_mode():
        return unet(latents, times, encoder_hidden_states=text, return_dict=False)[0]


@pytest.mark.parametrize("tokens", [77, 154], ids=lambda tokens: f"{tokens} tokens")
def test_kept_prompts_give_what_the_layers_give(sd1, tokens):
    """With kept keys and values the UNet's output is the same but for rounding, also in another order."""
    asked = rows(3, tokens)
    expected = drawn(sd1.unet, torch.cat([row.embeds for row in asked]))
    prompts = Prompts.of(sd1.unet)
    for order in ([0, 1, 2], [2, 0, 1], [2, 0, 1]):
        chosen = [asked[at] for at in order]
        with torch.inference_mode(), prompts.used(chosen):
            found = drawn(sd1.unet, chosen[0].embeds.expand(3, -1, -1))
        with torch.inference_mode():
            again = drawn(sd1.unet, torch.cat([row.embeds for row in chosen]))
        assert torch.allclose(found, again, atol=1e-4)
    assert torch.equal(drawn(sd1.unet, torch.cat([row.embeds for row in asked])), expected)


def test_outside_the_layers_do_as_before(sd1):
    """When nothing is used, the output is bit for bit that of the untouched UNet."""
    text = torch.cat([row.embeds for row in rows(2)])
    before = drawn(sd1.unet, text)
    prompts = Prompts.of(sd1.unet)
    with torch.inference_mode(), prompts.used(rows(2)):
        pass
    assert torch.equal(drawn(sd1.unet, text), before)


def test_what_is_kept_is_bounded(sd1, monkeypatch):
    """Old prompts are forgotten, those of the present call never."""
    prompts = Prompts.of(sd1.unet)
    asked = rows(8)
    with torch.inference_mode(), prompts.used(asked):
        pass
    monkeypatch.setattr(attention, "_KEPT_BYTES", prompts._bytes // 2)
    with torch.inference_mode(), prompts.used(asked[5:]):
        assert len(prompts._kept) <= 4
        assert all(id(row.embeds) in prompts._kept for row in asked[5:])


def test_large_models_are_left_as_they_are(sd1, monkeypatch):
    """Where a row's keys and values are large, nothing is installed."""
    monkeypatch.setattr(attention, "_MOST_BYTES_A_ROW", 1000)
    processors = {name: type(each) for name, each in sd1.unet.attn_processors.items()}
    assert Prompts.of(sd1.unet) is None
    assert {name: type(each) for name, each in sd1.unet.attn_processors.items()} == processors


def test_sliced_attention_goes_its_own_way(sd1):
    """When memory is spared, the layers' own processors are replaced, which is noticed."""
    prompts = Prompts.of(sd1.unet)
    assert prompts.installed
    sd1.save_memory()
    assert not prompts.installed
