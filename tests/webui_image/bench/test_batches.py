"""The files that reading is measured with, and how the measuring process tells of itself."""

import json
import subprocess
import sys

import pytest

from webui_image.bench.batches import long_files


@pytest.mark.parametrize("kind", ["yaml", "jsonl", "csv"])
def test_a_long_file_has_so_many_lines_and_is_read_by_a_process_of_its_own(tmp_path, kind):
    """A picture in each line, less those of its head; seconds and memory are those of that process."""
    text = long_files(50)[f"many.{kind}"]
    assert len(text.splitlines()) == 50
    path = tmp_path / f"many.{kind}"
    path.write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "webui_image.bench.reading", str(path)], check=True, capture_output=True, text=True
    )
    found = json.loads(run.stdout)
    assert found["pictures"] == {"yaml": 48, "jsonl": 50, "csv": 49}[kind]
    assert 0 < found["seconds"] < 60
    assert 5 < found["mb"] < 200
