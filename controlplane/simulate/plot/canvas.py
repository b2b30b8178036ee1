"""Paper and pens: matplotlib without its global state, colours that colour-blind readers tell apart, and the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controlplane.api import Problem, SpecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any of the common kinds of colour blindness, and in grey.
READY, WARMING = "#0072B2", "#E69F00"
SHORT, PALE, FEW = "#D55E00", "#BFDBEC", "#BDBDBD"
TEXT, FAINT = "#222222", "#6B6B6B"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours for things of which any number may come; they are repeated after the last."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How something that happened in a lane is shown; `height` is above (-) or below (+) the middle of the lane."""

    shape: str
    colour: str
    height: float
    line: float


MARKS = {
    "preempted": Mark("x", SHORT, -0.3, 1.3),
    "attempt refused": Mark("|", "#333333", 0.34, 1.3),
    "moved to a cheaper zone": Mark("^", "#009E73", 0.0, 0.4),
    "moved off on-demand": Mark("d", "#B14A8C", 0.0, 0.4),
    "moved elsewhere": Mark("s", "#000000", 0.0, 0.4),
}

_DOTS = 120  # per inch
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": "#9A9A9A",
    "axes.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": TEXT,
    "text.parse_math": False,  # else what stands between two dollars, in names and prices, is read as a formula
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "savefig.facecolor": "white",
}


def check(path: Path) -> None:
    """Make sure that a picture can be drawn there, before the work that it is to show is done.

    Raises SpecError when matplotlib is missing, or the path names no PNG file in a folder that exists.
    """
    if path.suffix.lower() != ".png":
        raise SpecError([Problem(str(path), "pictures are PNG files", "use a name that ends in .png")])
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else "is in no folder that exists"
        raise SpecError([Problem(str(path), what, "name a file in a folder that exists")])
    try:
        import matplotlib as mpl  # noqa: F401
    except ImportError:
        what = "pictures need matplotlib, which is not installed"
        raise SpecError([Problem(str(path), what, 'install the extra: pip install "gpu-hunter[simulate]"')]) from None


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """Give an empty figure (sizes in inches) that becomes a PNG file when the block ends.

    Raises SpecError as `check` does, or when the file cannot be written.
    """
    check(path)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]  # the stub lists every key as a literal
        paper = Figure(figsize=(width, height))
        FigureCanvasAgg(paper)
        yield paper
        try:
            paper.savefig(path, format="png", dpi=_DOTS)
        except OSError as error:
            what = f"cannot be written ({error.strerror})"
            raise SpecError([Problem(str(path), what, "use a folder that is yours to write to")]) from None
