"""A parameters file says the same in every format that it can be written in."""

import json

import pytest

from webui_image.batch.parameters import Names, read
from webui_image.values.generation import Generation, HiresFix, Lora, MaskFill, ResizeMode, Variation


@pytest.fixture
def rendered(tmp_path):
    """Write a file and read it: the pictures that it asks for."""

    def reads(name, text, **further):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path, **further).pictures

    return reads


SAME = {
    "one.yaml": "prompt: a red circle\nseed: 7\nsteps: 12\nsize: 64x128\n",
    "list.yaml": "- {prompt: a red circle, seed: 7, steps: 12, width: 64, height: 128}\n",
    "defaults.yaml": "defaults: {steps: 12, width: 64}\nimages:\n- prompt: a red circle\n  seed: 7\n  height: 128\n",
    "merge.yaml": "- &a {prompt: b, seed: 7, steps: 12, size: 64x128}\n- <<: *a\n  prompt: a red circle\n",
    "one.json": '{"prompt": "a red circle",\n "seed": 7, "steps": 12.0, "width": 64, "height": 128}',
    "list.json": '[{"prompt": "a red circle", "seed": 7, "steps": 12, "size": "64x128"}]',
    "lines.jsonl": '\n{"prompt": "a red circle", "seed": 7, "steps": 12, "size": "64x128"}\n\n',
    "table.csv": "prompt,seed,steps,width,height,cfg\na red circle,7,12,64,128,\n",
    "excel.csv": '\ufeffprompt;seed;steps;size\r\n"a red circle";7;12;64x128\r\n',
    "table.tsv": "prompt\tseed\tsteps\tsize\na red circle\t7\t12\t64x128\n",
    "a1111.json": '{"prompt": "a red circle", "seed": 7, "num_inference_steps": 12, "width": 64, "height": 128}',
    "infotext.yaml": "infotext: |\n a red circle\n Steps: 12, Sampler: DPM++ 2M, CFG scale: 7, Seed: 7, Size: 64x128\n",
    "infotext.txt": "a red circle\nSteps: 12, Sampler: DPM++ 2M, CFG scale: 7, Seed: 7, Size: 64x128",
}


@pytest.mark.parametrize("name", SAME)
def test_every_format_says_the_same(name, rendered):
    """One picture, written in every way: the same request, and so the same digest."""
    wanted = Generation("a red circle", seed=7, steps=12, width=64, height=128, sampler="DPM++ 2M")
    found = rendered(name, SAME[name])[-1]
    assert found.generation == wanted
    assert found.file_name.endswith("-7.png")


def test_a1111s_names_are_understood(rendered):
    """A body of A1111's API is a file: its field names mean what they mean there."""
    body = {
        "prompt": "a",
        "negative_prompt": "b",
        "sampler_name": "Euler a",
        "scheduler": "Karras",
        "cfg_scale": 5,
        "subseed": 3,
        "subseed_strength": 0.5,
        "seed": 9,
        "batch_size": 2,
        "n_iter": 3,
        "seed_resize_from_w": 512,
        "seed_resize_from_h": 768,
        "override_settings": {"sd_model_checkpoint": "m", "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 2},
        "enable_hr": True,
        "hr_scale": 1.5,
        "hr_second_pass_steps": 5,
        "hr_upscaler": "Lanczos",
        "denoising_strength": 0.4,
    }
    pictures = rendered("a.json", json.dumps(body))
    first = pictures[0].generation
    assert len(pictures) == 6
    assert (first.negative_prompt, first.sampler, first.scheduler, first.cfg_scale) == ("b", "Euler a", "Karras", 5)
    assert (first.model, first.clip_skip, first.seed_resize_from) == ("m", 2, (512, 768))
    assert first.hires == HiresFix(scale=1.5, steps=5, upscaler="Lanczos", denoising_strength=0.4)
    assert [picture.generation.variation for picture in pictures] == [Variation(3 + n, 0.5) for n in range(6)]
    assert {picture.generation.seed for picture in pictures} == {9}


def test_words_stay_words_in_yaml(rendered):
    """What YAML 1.1 takes for a truth, a date or a time is a prompt where a prompt belongs."""
    pictures = rendered("a.yaml", "images:\n- no\n- 2024\n- 12:30\n- 2024-01-01\n- {prompt: on}\n- 'null'\n")
    assert [picture.generation.prompt for picture in pictures] == ["no", "2024", "12:30", "2024-01-01", "on", "null"]


def test_every_prompt_with_every_seed(rendered):
    """A matrix renders all combinations, the first key slowest; an entry's own value goes before the top's axis."""
    text = "matrix: {steps: [1, 2], seed: 5..7}\nimages:\n- prompt: a\n- {prompt: b, seed: 1}\n"
    found = [(p.generation.prompt, p.generation.steps, p.generation.seed) for p in rendered("a.yaml", text)]
    wanted = [("a", steps, seed) for steps in (1, 2) for seed in (5, 6, 7)]
    assert found == [*wanted, ("b", 1, 1), ("b", 2, 1)]


def test_a_list_of_prompts_is_included(rendered, tmp_path):
    """A text file gives one entry a line, empty lines left out, over the defaults and through the matrix."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "prompts.txt").write_text("a red circle\n\n  a blue square \n")
    text = "defaults: {steps: 3}\nmatrix: {seed: [1, 2]}\nprompts_file: more/prompts.txt\nimages: [first]\n"
    pictures = rendered("a.yaml", text)
    found = [(p.generation.prompt, p.generation.seed, p.generation.steps) for p in pictures]
    wanted = [(text, seed, 3) for text in ("first", "a red circle", "a blue square") for seed in (1, 2)]
    assert found == wanted
    assert {(p.file, p.line) for p in pictures[2:]} == {("more/prompts.txt", 1), ("more/prompts.txt", 3)}


def test_a1111s_prompts_from_file(rendered):
    """A text file of A1111's "prompts from file" is a parameters file: plain lines, and lines of options."""
    text = 'a red circle\n--prompt "a blue square" --steps 7 --seed 5 --cfg_scale 3 --width 128\n'
    plain, options = (picture.generation for picture in rendered("a.txt", text))
    assert plain.prompt == "a red circle"
    wanted = ("a blue square", 7, 5, 3.0, 128)
    assert (options.prompt, options.steps, options.seed, options.cfg_scale, options.width) == wanted


def test_count_counts_seeds(rendered):
    """`count` pictures of an entry have seeds one after the other."""
    pictures = rendered("a.yaml", "{prompt: a, seed: 4294967293, count: 3}")
    assert [picture.generation.seed for picture in pictures] == [4294967293, 4294967294, 4294967295]
    assert [picture.index for picture in pictures] == [0, 1, 2]


def test_open_seeds_are_the_same_in_each_run(rendered):
    """A seed left open comes from the prompt: a second reading, other entries and other settings leave it alone."""
    before = rendered("a.yaml", "images: [{prompt: a}, {prompt: b, seed: -1}]")
    after = rendered("a.yaml", "images: [{prompt: new}, {prompt: a, steps: 3}, {prompt: b}]")
    assert [p.generation.seed for p in before] == [p.generation.seed for p in after[1:]]


def test_the_same_prompt_twice_gives_two_pictures(rendered):
    """Two entries with one prompt are two pictures; within a matrix settings are compared on one seed."""
    pictures = rendered("a.yaml", "images: [a, a, {prompt: a, matrix: {steps: [1, 2]}}]")
    first, second, *matrix = [picture.generation.seed for picture in pictures]
    assert len({first, second, matrix[0]}) == 3
    assert matrix[0] == matrix[1]


def test_what_is_left_open_is_the_models_own_choice(rendered):
    """Sizes, steps and the like that nobody names are those that the model draws best with."""
    from webui_image.values.ports import Recommended

    choices = {"": Recommended(64, 64, 12, 2.5, "Euler", "Automatic"), "big": Recommended()}
    small, big = rendered("a.yaml", "[{prompt: a}, {prompt: a, model: big, steps: 3}]", recommended=choices.__getitem__)
    assert (small.generation.width, small.generation.steps, small.generation.cfg_scale) == (64, 12, 2.5)
    assert (big.generation.width, big.generation.steps, big.generation.sampler) == (512, 3, "DPM++ 2M")


@pytest.mark.parametrize(
    "written",
    ["{one: 0.5, two: 1}", "[{name: one, weight: 0.5}, two]", "'one:0.5, two'"],
    ids=["mapping", "list", "text"],
)
def test_loras_are_written_in_three_ways(written, rendered):
    """LoRAs with weights, whichever way is at hand."""
    (picture,) = rendered("a.yaml", f"prompt: a\nloras: {written}\n")
    assert picture.generation.loras == (Lora("one", 0.5), Lora("two", 1.0))


def test_a_picture_to_start_from(rendered, tmp_path):
    """Picture and mask are files below the folder, known by their content, not by their names."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"one")
    (tmp_path / "m.png").write_bytes(b"two")
    text = (
        "defaults: {prompt: a, denoising_strength: 0.6, mask: m.png, mask_fill: latent_noise, resize_mode: 1}\n"
        "images:\n- {image: in/a.png, only_masked: true}\n- {image: b.png, only_masked: true}\n"
    )
    first, second = rendered("a.yaml", text)
    assert first.source.resize_mode is ResizeMode.CROP
    assert first.source.mask.fill is MaskFill.LATENT_NOISE
    assert first.source.mask.only_masked
    assert (first.source.path, second.source.path) == ("in/a.png", "b.png")
    assert first.digest() != second.digest()  # other seeds: the prompt stands twice
    (tmp_path / "b.png").write_bytes(b"three")
    assert rendered("a.yaml", text)[1].digest() != second.digest()


def test_hires_has_defaults_of_its_own(rendered):
    """The second pass is merged key by key, and can be turned off."""
    text = (
        "defaults: {prompt: a, hires: {scale: 1.5, steps: 4}}\n"
        "images:\n- {hires: {steps: 5}}\n- {hires: false}\n- {hires: true}\n"
    )
    found = [picture.generation.hires for picture in rendered("a.yaml", text)]
    assert found == [HiresFix(scale=1.5, steps=5), None, HiresFix(scale=1.5, steps=4)]


def test_names_are_the_engines_own(rendered):
    """Other spellings of a sampler become the engine's name, so that they are the same picture."""
    names = Names(lambda sampler, _: ("DPM++ 2M", "Karras" if "arras" in sampler else "Automatic"), ("Lanczos",))
    text = "{prompt: a, sampler: k_dpmpp_2m_karras, hires: {upscaler: lanczos}}"
    (picture,) = rendered("a.yaml", text, names=names)
    assert (picture.generation.sampler, picture.generation.scheduler) == ("DPM++ 2M", "Karras")
    assert picture.generation.hires.upscaler == "Lanczos"


def test_what_says_nothing_about_the_picture_is_passed_over(rendered):
    """A1111's fields for answers and folders are no mistakes, nor are its refused ones where they ask for nothing."""
    body = {"prompt": "a", "save_images": True, "send_images": False, "restore_faces": False, "styles": []}
    assert len(rendered("a.json", json.dumps(body))) == 1


def test_the_folders_name_comes_from_the_file(tmp_path):
    """Without a name of its own, a batch is called after its file, with what no folder should have left out."""
    (tmp_path / "my shapes (2).yaml").write_text("prompt: a")
    (tmp_path / "b.yaml").write_text("{name: other, prompt: a}")
    assert read(tmp_path / "my shapes (2).yaml").name == "my-shapes-2"
    assert read(tmp_path / "b.yaml").name == "other"
