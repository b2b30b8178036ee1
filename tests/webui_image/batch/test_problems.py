"""Whatever is wrong with a parameters file is said at once: file, line, key, and what to do."""

import json
import os
import tracemalloc

import pytest

from webui_image.batch.parameters import Names, ParametersError, read
from webui_image.values.errors import Invalid


def resolve(sampler, scheduler):
    """Know two samplers, as an engine would."""
    if sampler not in {"Euler", "DPM++ 2M"}:
        raise Invalid("sampler_name", f"{sampler!r} is unknown; did you mean Euler?")
    if scheduler == "Karras" and sampler == "Euler":
        raise Invalid("scheduler", "Euler cannot be combined with Karras; it can with Automatic")
    return sampler, scheduler


def model(name):
    """Know one model."""
    if name != "shapes":
        raise Invalid("model", f"there is no model {name!r}; here are shapes")
    return name


NAMES = Names(resolve, ("Latent", "Lanczos"), model)


@pytest.fixture
def wrong(tmp_path):
    """Write a file and read it: the lines that say what is wrong with it."""

    def reads(text, name="a.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ParametersError) as caught:
            read(path, names=NAMES)
        return str(caught.value).split("\n")

    return reads


YAML = {
    "unknown key": ("prompt: a\nstep: 3\n", 'a.yaml:2: step: unknown key; did you mean "steps"?'),
    "unknown key in an entry": (
        "images:\n- prompt: a\n- prompt: b\n  smapler: Euler\n",
        'a.yaml:4: images[1].smapler: unknown key; did you mean "sampler"?',
    ),
    "picture's key at the top": (
        "steps: 3\nimages: [a]\n",
        "a.yaml:1: steps: unknown key at the top; put it under `defaults:`",
    ),
    "unknown key at the top": (
        "imges: [a]\nimages: [a]\n",
        'a.yaml:1: imges: unknown key at the top; did you mean "images"?',
    ),
    "unknown sampler": (
        "{prompt: a, sampler: Eular}",
        "a.yaml:1: sampler: 'Eular' is unknown; did you mean Euler?",
    ),
    "sampler and schedule type": (
        "defaults:\n  scheduler: Karras\nimages:\n- {prompt: a, sampler: Euler}\n",
        "a.yaml:2: images[0].scheduler: Euler cannot be combined with Karras; it can with Automatic",
    ),
    "sampler of the second pass": (
        "prompt: a\nhires: {sampler: x}\n",
        "a.yaml:2: hires.sampler: 'x' is unknown; did you mean Euler?",
    ),
    "unknown upscaler": (
        "prompt: a\nhires: {upscaler: lanzcos}\n",
        "a.yaml:2: hires.upscaler: unknown name 'lanzcos'; did you mean \"Lanczos\"?",
    ),
    "unknown model": ("prompt: a\nmodel: dreams\n", "a.yaml:2: model: there is no model 'dreams'; here are shapes"),
    "another VAE": ("prompt: a\nvae: x.safetensors\n", "a.yaml:2: vae: is not supported; take it out"),
    "not supported": ("prompt: a\ntiling: true\n", "a.yaml:2: tiling: is not supported; take it out"),
    "number as text": (
        'prompt: a\nsteps: "20"\n',
        "a.yaml:2: steps: must be a whole number, not '20'; take away the quotes",
    ),
    "fraction of a step": (
        "{prompt: a, steps: 2.5}",
        "a.yaml:1: steps: must be a whole number, not '2.5'; write a number, without quotes",
    ),
    "decimal comma": (
        "{prompt: a, cfg_scale: '7,5'}",
        "a.yaml:1: cfg_scale: must be a number, not '7,5'; write the decimal point as a point",
    ),
    "not a number": ("{prompt: a, cfg: .nan}", "a.yaml:1: cfg: is not a finite number; use 0 to 100"),
    "infinite": ("{prompt: a, cfg: -.inf}", "a.yaml:1: cfg: is not a finite number; use 0 to 100"),
    "negative steps": ("{prompt: a, steps: -1}", "a.yaml:1: steps: -1 is out of bounds; use 1 to 500"),
    "huge picture": (
        "{prompt: a, width: 10000, height: 64}",
        "a.yaml:1: width: 10000 is out of bounds; use 64 to 4096",
    ),
    "too many pixels": (
        "{prompt: a, size: 4096x4096}",
        "a.yaml:1: width: 4096x4096 is too large; use at most 8,388,608 pixels",
    ),
    "odd size": ("{prompt: a, width: 500}", "a.yaml:1: width: 500 is no multiple of 8; use 496 or 504"),
    "size that is none": (
        "{prompt: a, size: 64}",
        "a.yaml:1: size: must be a size, not '64'; write width x height, as in 640x384",
    ),
    "size and width": (
        "{prompt: a, width: 64, size: 64x64}",
        "a.yaml:1: size: stands beside width or height; keep one of the two ways",
    ),
    "two names of one key": (
        "prompt: a\ncfg: 3\ncfg_scale: 4\n",
        "a.yaml:3: cfg_scale: cfg_scale is given twice; keep one of its names",
    ),
    "key twice": ("prompt: a\nprompt: b\n", "a.yaml:2: 'prompt' stands twice in one mapping; keep one"),
    "seed too large": (
        "{prompt: a, seed: 4294967296}",
        "a.yaml:1: seed: 4294967296 is out of bounds; use -1 to 4294967295",
    ),
    "seeds beyond the last": (
        "{prompt: a, seed: 4294967295, count: 2}",
        "a.yaml:1: seed: 4294967295 and 2 pictures go beyond 4294967295; use a smaller one",
    ),
    "very many digits": (
        "{prompt: a, seed: " + "9" * 5000 + "}",
        f"a.yaml:1: seed: must be a whole number, not '{'9' * 60}...'; write a number, without quotes",
    ),
    "huge count": ("{prompt: a, count: 100001}", "a.yaml:1: count: 100001 is out of bounds; use 1 to 100000"),
    "huge matrix": (
        "{prompt: a, matrix: {seed: 1..1000, steps: 1..101}}",
        "a.yaml:1: 101,000 pictures up to here; ask for at most 100,000 in one file",
    ),
    "endless range": (
        "{prompt: a, matrix: {seed: 1..99999999999}}",
        "a.yaml:1: matrix.seed: has more than 100,000 values; so many pictures are too many for one file",
    ),
    "axis that is no list": (
        "{prompt: a, matrix: {steps: 5}}",
        (
            "a.yaml:1: matrix.steps: must be a list of values; write `steps: [..., ...]`, "
            "or a range of whole numbers as 1..10"
        ),
    ),
    "value in an axis": (
        "prompt: a\nmatrix:\n  steps:\n  - 5\n  - x\n",
        "a.yaml:5: matrix.steps: must be a whole number, not 'x'; write a number, without quotes",
    ),
    "no prompt": ("- steps: 3\n", "a.yaml:1: images[0]: has no prompt; write `prompt: ...` here or under defaults"),
    "long prompt": ("prompt: " + "a" * 1_000_000, "a.yaml:1: prompt: 1,000,000 characters; use at most 10,000"),
    "control character": (
        'prompt: "a\\0b"',
        "a.yaml:1: prompt: holds the control character '\\x00'; take it out",
    ),
    "entry that is a list": (
        "images: [[a]]",
        "a.yaml:1: images[0]: must be a mapping, not a list; write `- prompt: ...`",
    ),
    "images that are no list": (
        "images: {prompt: a}",
        "a.yaml:1: images: must be a list, not a mapping; begin each entry with a dash",
    ),
    "nothing asked for": (
        "defaults: {steps: 3}",
        "a.yaml:1: asks for no picture; write `images:` with a list of entries, or `prompt:`",
    ),
    "matrix as a default": (
        "defaults: {matrix: {seed: [1]}}\nimages: [a]",
        "a.yaml:1: defaults.matrix: is no default; put it at the top or into an entry",
    ),
    "name with a path": (
        "name: ../x\nimages: [a]",
        (
            "a.yaml:1: name: is no name for a folder; use letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        ),
    ),
    "key of hires": (
        "prompt: a\nhires:\n  scal: 2\n",
        'a.yaml:3: hires.scal: unknown key; did you mean "scale" or "upscaler"?',
    ),
    "hires too large": (
        "{prompt: a, size: 2048x1024, hires: {scale: 4}}",
        (
            "a.yaml:1: hires: the second pass makes 8192x4096; sides of the result are 64 to 4096, "
            "together 8,388,608 pixels"
        ),
    ),
    "LoRA as a path": (
        "{prompt: a, loras: {../x: 1}}",
        "a.yaml:1: loras.../x: '../x' is no LoRA's name; name a listed LoRA, never a path",
    ),
    "LoRA's weight": (
        "{prompt: a, loras: {x: heavy}}",
        "a.yaml:1: loras.x: its weight must be a number, not 'heavy'; write a number, without quotes",
    ),
    "mask without image": (
        "{prompt: a, mask: m.png}",
        "a.yaml:1: mask: means nothing without image; name the picture to start from, or take it out",
    ),
    "strength without image": (
        "{prompt: a, denoising_strength: 0.5}",
        "a.yaml:1: denoising_strength: means nothing without image; name the picture to start from, or take it out",
    ),
    "image that is not there": (
        "{prompt: a, image: b.png}",
        "a.yaml:1: image: 'b.png' does not exist; paths start at the parameters file's folder",
    ),
    "image from elsewhere": (
        "{prompt: a, image: ../b.png}",
        "a.yaml:1: image: '../b.png' leads out of the folder; name a file below the parameters file's folder",
    ),
    "image by its full path": (
        "{prompt: a, image: /etc/passwd}",
        "a.yaml:1: image: '/etc/passwd' leads out of the folder; name a file below the parameters file's folder",
    ),
    "image from the net": (
        "{prompt: a, image: 'http://169.254.169.254/x'}",
        (
            "a.yaml:1: image: 'http://169.254.169.254/x' is no local path; "
            "put the file beside the parameters file and name it"
        ),
    ),
    "image that is a folder": ("{prompt: a, image: .}", "a.yaml:1: image: '.' is no file; name a file"),
    "list of prompts that is not there": (
        "prompts_file: p.txt",
        "a.yaml:1: prompts_file: 'p.txt' does not exist; paths start at the parameters file's folder",
    ),
    "infotext that is none": (
        "infotext: a cat",
        "a.yaml:1: infotext: is no text of a picture; its last line begins with `Steps: `",
    ),
    "setting that is overridden": (
        "{prompt: a, override_settings: {samples_save: true}}",
        (
            "a.yaml:1: override_settings.samples_save: unknown setting; "
            "take it out; taken are sd_model_checkpoint, CLIP_stop_at_last_layers"
        ),
    ),
    "no YAML": (
        "prompt: a\n  steps: 3\n",
        (
            "a.yaml:2: not YAML: mapping values are not allowed in this context; "
            "look at indentation, quotes and brackets here"
        ),
    ),
    "tag": (
        "prompt: !!python/object:os.system a",
        "a.yaml:1: the tag 'tag:yaml.org,2002:python/object:os.system'; take it out: values need no tags here",
    ),
    "two documents": (
        "prompt: a\n---\nprompt: b\n",
        "a.yaml:2: a second document; put all pictures into one, and take the --- out",
    ),
    "alias without anchor": ("prompt: *a", "a.yaml:1: the alias *a has no anchor before it; write &a there"),
    "character that YAML has not": (
        "prompt: a\nsteps: \x01",
        "a.yaml:2: ",
    ),
    "empty": ("  \n", "a.yaml: is empty; write at least `prompt: ...`"),
    "only a comment": ("# nothing\n", "a.yaml: asks for no picture; write `images:`"),
    "Latin-1": (b"steps: 3\nprompt: caf\xe9", "a.yaml:2: is not UTF-8 text; save it as UTF-8"),
    "deep": (
        "prompt: " + "[" * 50 + "]" * 50,
        "a.yaml:1: more than 12 levels inside each other; flatten it",
    ),
}


@pytest.mark.parametrize("case", YAML)
def test_a_mistake_is_one_line_that_says_where_what_and_what_to_do(case, wrong):
    """Each mistake alone: one line with file, line, key and remedy."""
    text, said = YAML[case]
    lines = wrong(text)
    assert len(lines) == 1
    assert lines[0].startswith(said)


OTHERS = {
    "JSON: comma": ("a.json", '{"prompt": "a",\n "steps": 3\n "seed": 1}', "a.json:3: not JSON: no comma and no }"),
    "JSON: last comma": ("a.json", '{"prompt": "a",\n}', "a.json:2: not JSON: a key without quotes"),
    "JSON: early end": ("a.json", '{"prompt": ', "a.json:1: not JSON: ends too early"),
    "JSON: rest": ("a.json", '{"prompt": "a"}\nx', "a.json:2: not JSON: text after the end"),
    "JSON: open text": ("a.json", '{"prompt": "a}', "a.json:1: not JSON: unterminated string"),
    "JSON: key twice": ("a.json", '{"prompt": "a", "prompt": "a"}', "a.json:1: not JSON: 'prompt' stands twice"),
    "JSON: NaN": ("a.json", '{"prompt": "a",\n"cfg_scale": NaN}', "a.json:2: cfg_scale: is not a finite number"),
    "JSON: 1e999": ("a.json", '{"prompt": "a", "cfg_scale": 1e999}', "a.json:1: cfg_scale: is not a finite number"),
    "JSON: true as a number": ("a.json", '{"prompt": "a", "steps": true}', "a.json:1: steps: must be a whole number"),
    "JSON: number as a prompt": ("a.json", '{"prompt": 7}', "a.json:1: prompt: must be text, not a number"),
    "JSON: half a pair": ("a.json", '{"prompt": "\\ud800"}', "a.json:1: prompt: holds half of a surrogate pair"),
    "JSON: deep": ("a.json", "[" * 100_000, "a.json:1: not JSON: too deep or too many values"),
    "JSON: many digits": ("a.json", '{"prompt": "a", "seed": ' + "9" * 10_000 + "}", "a.json:1: not JSON: unexpected"),
    "JSON Lines": ("a.jsonl", '{"prompt": "a"}\n{"prompt"}\n', "a.jsonl:2: not JSON: no colon after 'prompt'"),
    "JSON Lines: key": ("a.jsonl", '\n{"prompt": "a", "step": 1}', "a.jsonl:2: images[0].step: unknown key; did you"),
    "CSV: column": ("a.csv", "prompt,step\na,1\nb,2\n", 'a.csv:1: step: unknown key; did you mean "steps"?'),
    "CSV: column twice": ("a.csv", "prompt,prompt\na,b\n", "a.csv:1: prompt: two columns have this name; keep one"),
    "CSV: cell": ("a.csv", 'prompt,steps\n"a\nb",1\nb,x\n', "a.csv:4: images[1].steps: must be a whole number"),
    "CSV: one cell more": ("a.csv", "prompt,steps\na, b,1\n", "a.csv:2: 3 cells, but 2 columns"),
    "CSV: quotes": ("a.csv", 'prompt,steps\n"a"b,1\n', "a.csv:2: not CSV: "),
    "CSV: only a header": ("a.csv", "prompt,steps\n", "a.csv:1: asks for no picture"),
    "no ending": ("params", "prompt: a", "params: has no ending that says its format; name it .yaml"),
    "other ending": ("a.toml", "prompt: a", "a.toml: the ending '.toml' says no format; name it .yaml"),
    "zip": ("a.yaml", b"PK\x03\x04\xff\xfe\x00", "a.yaml:1: is not UTF-8 text; save it as UTF-8"),
    "picture that is none": ("a.png", b"no picture at all", "a.png: "),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_formats_name_the_line_too(case, wrong):
    """JSON, JSON Lines, CSV and endings: one line, with the line in the file."""
    name, text, said = OTHERS[case]
    lines = wrong(text, name)
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_all_mistakes_are_told_at_once(wrong):
    """One reading finds everything, in the order of the file."""
    lines = wrong(
        "defaults:\n  step: 1\nimages:\n- prompt: a\n  seed: x\n- prompt: b\n  width: 63\nmatrix: {cfg: [no]}\n"
    )
    assert [line.split(":")[1] for line in lines] == ["2", "5", "7", "8"]


def test_a_file_of_mistakes_is_not_answered_with_a_book(wrong):
    """Beyond fifty lines the rest is counted."""
    lines = wrong("images:\n" + "- {prompt: a, x: 1}\n" * 1000)
    assert len(lines) == 51
    assert lines[-1] == "and 950 more of the like; mend these first"


def test_a_mistake_that_all_combinations_share_is_said_once(wrong):
    """A matrix of a thousand does not repeat itself."""
    assert len(wrong("{prompt: a, matrix: {seed: 1..1000}, mask: x}")) == 1


def test_an_included_file_is_named_in_its_problems(wrong, tmp_path):
    """A prompt that is too long in an included list is found there, not in the file that includes it."""
    (tmp_path / "p.txt").write_text("fine\n" + "a" * 20_000 + "\n")
    (line,) = wrong("prompts_file: p.txt")
    assert line.startswith("p.txt:2: prompt: 20,000 characters; use at most 10,000")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "p.txt holds no prompt", id="empty"),
        pytest.param(b"\x1f\x8b\x08\x00\xff\xff", "p.txt: is not UTF-8 text", id="compressed"),
        pytest.param(b"a\n" * 9_000_000, "'p.txt' is larger than 16 MiB", id="huge"),
    ],
)
def test_an_included_file_is_bounded(content, said, wrong, tmp_path):
    """What is no list of prompts, or too much of one, is refused at the key that names it."""
    (tmp_path / "p.txt").write_bytes(content)
    (line,) = wrong("images: [a]\nprompts_file: p.txt")
    assert line.startswith(f"a.yaml:2: prompts_file: {said}")


def test_links_do_not_lead_out_of_the_folder(wrong, tmp_path):
    """A link to a file elsewhere is as good as its path: refused."""
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    (line,) = wrong("{prompt: a, image: link.png}")
    assert "leads out of the folder" in line


def test_a_pipe_is_not_waited_for(wrong, tmp_path):
    """A name that never ends, or never begins, is no file."""
    os.mkfifo(tmp_path / "pipe.txt")
    (line,) = wrong("prompts_file: pipe.txt")
    assert "is no file" in line


def test_aliases_do_not_multiply_without_end(wrong):
    """Nine lines that stand for a billion values are refused in little memory."""
    bomb = ['a0: &a0 ["x","x","x","x","x","x","x","x","x","x"]']
    bomb += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    tracemalloc.start()
    lines = wrong("\n".join(bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [line for line in lines if "more than 1,000,000 values, aliases counted" in line]
    assert peak < 20_000_000


def test_a_wrong_file_is_no_traceback(tmp_path):
    """A file that is not there, or is a folder, is said as any other mistake."""
    for name in ("none.yaml", "folder.yaml"):
        (tmp_path / "folder.yaml").mkdir(exist_ok=True)
        with pytest.raises(ParametersError, match=f"{name}"):
            read(tmp_path / name)


def test_no_file_of_bytes_breaks_the_reader(tmp_path):
    """Every truncation of a rich file is either read or refused in words."""
    text = json.dumps({"defaults": {"steps": 3}, "images": [{"prompt": "a", "loras": {"x": 1}, "hires": {"scale": 2}}]})
    for name in ("a.yaml", "a.json", "a.jsonl", "a.csv", "a.txt"):
        for end in range(1, len(text)):
            path = tmp_path / name
            path.write_text(text[:end])
            try:
                read(path)
            except ParametersError as error:
                assert error.problems
