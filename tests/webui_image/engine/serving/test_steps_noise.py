"""The first noise: the pipeline's where nothing special is asked, A1111's rules elsewhere."""

import pytest
import torch

from webui_image.engine.noise import draw, slerp
from webui_image.engine.seeds import Seeds


def test_plain_noise_is_the_pipelines_and_so_is_what_follows():
    """The noise and the generator's state after it are those of a pipeline with that seed."""
    generator = torch.Generator("cpu").manual_seed(42)
    expected = torch.randn((1, 4, 8, 12), generator=generator)
    noise, ours = draw(Seeds(42), (4, 8, 12))
    assert torch.equal(noise, expected)
    assert torch.equal(torch.randn(3, generator=ours), torch.randn(3, generator=generator))


def test_a_variation_lies_between_both_and_is_as_strong():
    """Noise between two seeds keeps the spread of noise, which a plain mixture would lose."""
    one, _ = draw(Seeds(1), (4, 64, 64))
    half, _ = draw(Seeds(1, 2, 0.5), (4, 64, 64))
    other, _ = draw(Seeds(2), (4, 64, 64))
    assert half.std() == pytest.approx(1.0, abs=0.02)
    assert torch.dist(half, one) < torch.dist(other, one)
    assert torch.dist(half, other) < torch.dist(other, one)


def test_between_equal_noises_is_that_noise():
    """Interpolating between what is the same changes nothing."""
    one, _ = draw(Seeds(1), (4, 8, 8))
    assert torch.allclose(slerp(0.3, one, one), one)


@pytest.mark.parametrize("wanted", [(16, 12), (6, 20), (4, 4)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_seed_resized_keeps_its_middle(wanted):
    """The noise of the other size stands in the middle, cut off or surrounded by the wanted size's own."""
    small, _ = draw(Seeds(3), (4, 8, 8))
    resized, _ = draw(Seeds(3), (4, *wanted), (8, 8))
    assert resized.shape == (1, 4, *wanted)
    middle = resized[:, :, wanted[0] // 2, wanted[1] // 2]
    assert torch.equal(middle, small[:, :, 4, 4])
    if min(wanted) > 8:
        own, _ = draw(Seeds(3), (4, *wanted))
        assert torch.equal(resized[:, :, 0, 0], own[:, :, 0, 0])
