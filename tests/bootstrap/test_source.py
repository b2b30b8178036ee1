"""What goes into the image, and which version it is."""

import io
import tarfile

import pytest

from controlplane.bootstrap import source
from controlplane.gateways.errors import ConfigurationProblem

IGNORE = """# a comment
**
!app/**/*.py
!app/**/*.yaml
!other/lock
app/left
**/__pycache__
"""


@pytest.fixture
def root(tmp_path):
    files = {
        source.DOCKERFILE: "FROM x",
        source.IGNORE: IGNORE,
        "app/a.py": "a",
        "app/deep/er/b.yaml": "b",
        "app/key.pem": "secret",
        "app/left/c.py": "c",
        "app/deep/__pycache__/d.py": "d",
        "other/lock": "l",
        "other/more": "m",
        "outside.py": "o",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as packed:
        return packed.getnames()


def test_the_archive_holds_what_the_image_is_made_of(root):
    """The image's own ignore file decides; a key that lies about is not sent anywhere."""
    wanted = {"app/a.py", "app/deep/er/b.yaml", "other/lock", source.DOCKERFILE, source.IGNORE}
    assert set(names(source.archive(root))) == wanted


def test_the_same_code_is_the_same_version(root):
    """Neither times nor what stays outside change archive and tag."""
    before = source.tag(root), source.archive(root)
    (root / "app" / "key.pem").write_text("another")
    (root / "app" / "a.py").touch()
    assert (source.tag(root), source.archive(root)) == before


def test_other_code_is_another_version(root):
    """Any byte that goes into the image changes the tag."""
    before = source.tag(root)
    (root / "app" / "a.py").write_text("b")
    assert source.tag(root) != before


def test_without_the_code_a_line_says_what_to_do(tmp_path):
    """An installed package holds no Dockerfile; an image that is built can be named."""
    with pytest.raises(ConfigurationProblem, match="--image-tag"):
        source.tag(tmp_path)


def test_the_reconcilers_image_holds_neither_local_cloud_nor_tests():
    """The project's own archive is what the job needs."""
    found = source.files()
    assert {"controlplane/wiring.py", "regional_deploy/project/cloudbuild.yaml", "ingress/wiring.py"} <= set(found)
    assert [name for name in found if name.startswith(("controlplane/localcloud", "tests", "webui_image/engine"))] == []
