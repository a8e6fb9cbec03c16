"""Where pictures come from: anything a user can name becomes pages, upright and 8-bit."""

from __future__ import annotations

import glob
import io
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np
from numpy.typing import NDArray

from digitreader.errors import SourceError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Source = Union[str, Path, bytes, "Image.Image", NDArray[np.uint8]]

PICTURES = ("png", "jpg", "jpeg", "jpe", "tif", "tiff", "bmp", "gif", "webp")
PLAIN = ("pgm", "ppm", "pbm", "pnm", "npy")
SUFFIXES = frozenset(f".{kind}" for kind in (*PICTURES, *PLAIN))
STACKS = (".npy", ".csv")  # files of arrays; a folder's .csv files are seldom pictures
SIDE = 28  # px of a picture in Kaggle's form
MAX_PIXELS = 100_000_000  # a 600-dpi A3 scan has 70 million; more is a mistake or an attack
MAX_BYTES = 100_000_000  # of a download or of standard input
TIMEOUT = 20  # seconds without an answer from a server


@dataclass(frozen=True, eq=False)
class Page:
    """One decoded, upright picture: uint8 [H, W] or [H, W, 3] (RGB), with where it came from.

    `number` counts the pages of one source from 1.
    """

    pixels: Pixels
    source: str
    number: int = 1


def expand(arguments: Iterable[str]) -> Iterator[str]:
    """Turn what a user typed into single sources, in order.

    A folder gives the pictures in it and below, a pattern what matches it, `@list.txt` the
    lines of that file. Anything else stays as it is.

    Raises:
        SourceError: a list cannot be read, or a folder or a pattern holds no picture; raised
            in its turn, so that what came before is kept.
    """
    for argument in arguments:
        if argument.startswith("@"):
            yield from expand(_lines(Path(argument[1:])))
        elif is_url(argument) or argument == "-":
            yield argument
        elif Path(argument).is_dir():
            yield from _pictures_in(Path(argument))
        elif glob.has_magic(argument) and not Path(argument).exists():
            yield from _matching(argument)
        else:
            yield argument


def open_pages(source: Source) -> Iterator[Page]:
    """Decode a source page by page: a file, a URL, `-`, bytes, a PIL image or an array.

    Arrays are uint8 [H, W], or [H, W, 3 | 4] in RGB(A) order; a `.npy` file may hold a stack
    of pictures, [N, H, W], and so does a `.csv` file in Kaggle's form.

    Raises:
        SourceError: it cannot be opened or decoded; the message names it.
    """
    name = name_of(source)
    if isinstance(source, np.ndarray):
        yield Page(_from_array(source, name), name)
    elif isinstance(source, str | Path) and Path(source).suffix.lower() in STACKS:
        yield from _from_stack(Path(source), name)
    elif isinstance(source, str | Path | bytes):
        with _decoding(name), _open_image(source, name) as image:
            yield from _from_image(image, name)
    else:
        with _decoding(name):
            yield from _from_image(source, name)


def name_of(source: Source) -> str:
    """What a source is called in a reading."""
    if isinstance(source, str | Path):
        return "<stdin>" if source == "-" else str(source)
    if isinstance(source, bytes):
        return "<bytes>"
    if isinstance(source, np.ndarray):
        return "<array>"
    return str(getattr(source, "filename", "") or "<image>")


def is_url(text: str) -> bool:
    """Whether this names something on the web."""
    return text.lower().startswith(("http://", "https://"))


def missing(source: str) -> str | None:
    """Say why a source cannot be read, as far as that shows without opening it."""
    if source == "-" or is_url(source):
        return None
    path = Path(source)
    if not path.exists():
        return f"{source}: there is no such file"
    if not path.is_file():
        return f"{source}: expected a file, this is not one"
    return None


# --- finding ----------------------------------------------------------------------------------


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"@{path}: the list cannot be read: {error}") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _pictures_in(folder: Path) -> list[str]:
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        known = " ".join(sorted(SUFFIXES))
        raise SourceError(f"{folder}: no picture in this folder; looked for {known}")
    return found


def _matching(pattern: str) -> list[str]:
    found = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207 (absolute patterns)
    if not found:
        raise SourceError(f"{pattern}: nothing matches this pattern")
    return found


# --- decoding ---------------------------------------------------------------------------------


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Say what is wrong with a picture in one line that names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF and the like; sizes are checked by us
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError as error:
        known = " ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise SourceError(f"{name}: not a picture, or broken; expected one of {known}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SourceError(f"{name}: {_too_large()}") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise SourceError(f"{name}: cannot be decoded: {error}") from error


def _open_image(source: str | Path | bytes, name: str) -> Image.Image:
    from PIL import Image

    if isinstance(source, bytes):
        return Image.open(io.BytesIO(source))
    if source == "-":
        return Image.open(io.BytesIO(_limited(sys.stdin.buffer.read(MAX_BYTES + 1), name)))
    if isinstance(source, str) and is_url(source):
        return Image.open(io.BytesIO(_downloaded(source)))
    why = missing(str(source))
    if why is not None:
        raise SourceError(why)
    return Image.open(source)


def _downloaded(url: str) -> bytes:
    import urllib.error
    import urllib.request  # 40 ms that only web addresses cost

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return _limited(answer.read(MAX_BYTES + 1), url)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise SourceError(f"{url}: cannot be fetched: {error}") from error


def _limited(data: bytes, name: str) -> bytes:
    if not data:
        raise SourceError(f"{name}: empty; expected a picture")
    if len(data) > MAX_BYTES:
        raise SourceError(f"{name}: larger than {MAX_BYTES // 1_000_000} MB")
    return data


def _too_large() -> str:
    return f"more than {MAX_PIXELS // 1_000_000} million pixels; make it smaller first"


def _from_image(image: Image.Image, name: str) -> Iterator[Page]:
    from PIL import ImageOps, ImageSequence

    for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
        if frame.width * frame.height > MAX_PIXELS:
            raise SourceError(f"{name}: {_too_large()}")
        if not frame.width * frame.height:
            raise SourceError(f"{name}: the picture has no pixels")
        yield Page(_eight_bit(ImageOps.exif_transpose(frame)), name, number)


def _eight_bit(image: Image.Image) -> Pixels:
    """Pixels of a picture of any mode: uint8 [H, W] or [H, W, 3]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(np.asarray(image))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.has_transparency_data:
        return _on_paper(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _from_deep(values: NDArray[np.generic]) -> Pixels:
    """Bring more than 8 bits, or floats, to 8: [H, W] → uint8 [H, W].

    Floats within 0–1 span the range. Otherwise the range is that of the smallest bit depth
    that holds the values, so that a blank page's noise is not stretched into strokes.
    """
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    finite = np.maximum(finite, 0)
    peak = float(finite.max())
    floats = np.issubdtype(values.dtype, np.floating)
    bits = max(8, int(np.ceil(np.log2(peak + 1)))) if peak > 0 else 8
    top = 1.0 if floats and peak <= 1 else 2.0**bits - 1
    return np.rint(finite / top * 255).astype(np.uint8)


def _on_paper(rgba: Pixels) -> Pixels:
    """Lay a transparent picture on paper that shows it: [H, W, 4] → [H, W, 3].

    Where all that is visible has one brightness, it is ink: the paper is its opposite. Where
    it has several, it is a picture with paper of its own, which goes on under the rest.
    """
    alpha = rgba[..., 3:].astype(np.float32) / 255  # [H, W, 1]
    colours = rgba[..., :3]
    visible = colours[alpha[..., 0] > 0.5]  # [n, 3]
    if not visible.size:
        return np.full_like(colours, 255)
    light = visible.mean(axis=1)
    if np.percentile(light, 98) - np.percentile(light, 2) < 60:
        paper = np.full(3, 255.0 if np.median(light) < 128 else 0.0)
    else:
        paper = np.median(visible, axis=0)
    return np.rint(colours * alpha + paper * (1 - alpha)).astype(np.uint8)


def _from_array(array: NDArray[np.uint8], name: str) -> Pixels:
    plane = array.ndim == 2
    colours = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (plane or colours) or not array.size:
        raise SourceError(
            f"{name}: expected uint8 [H, W], [H, W, 3] or [H, W, 4], "
            f"got {array.dtype} {list(array.shape)}"
        )
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise SourceError(f"{name}: {_too_large()}")
    return _on_paper(array) if array.shape[2:] == (4,) else array


def _from_stack(path: Path, name: str) -> Iterator[Page]:
    why = missing(str(path))
    if why is not None:
        raise SourceError(why)
    if path.suffix.lower() == ".csv":
        array = read_pixel_csv(path)[1]
    else:
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SourceError(f"{name}: not a readable .npy array: {error}") from error
    stack = array.ndim == 3 and array.shape[2] not in (3, 4)  # [N, H, W]
    for number, picture in enumerate(array if stack else [array], start=1):
        yield Page(_from_array(picture, name), name, number)


def read_pixel_csv(path: Path) -> tuple[tuple[str, ...] | None, Pixels]:
    """Read Kaggle's form: labels, or None where the file has none, and uint8 [N, 28, 28].

    The header is `pixel0…pixel783`, with or without a `label` before it; a row is an image,
    its pixels whole numbers 0–255.

    Raises:
        SourceError: the file is not so; the message names it, and the row where one is wrong.
    """
    size = SIDE * SIDE
    try:
        with path.open(encoding="utf-8-sig") as lines:
            header = [column.strip().strip('"') for column in lines.readline().split(",")]
            labelled = header[0] == "label"
            if len(header) != size + labelled or not header[-1].startswith("pixel"):
                raise SourceError(
                    f"{path}: expected a header 'pixel0…pixel{size - 1}', with or without 'label' "
                    f"first, got {len(header)} columns from '{header[0][:30]}' to "
                    f"'{header[-1][:30]}'"
                )
            rows = [line for line in lines if line.strip()]
        if not rows:
            raise SourceError(f"{path}: expected rows below the header, found none")
        pixels = np.loadtxt(
            rows,
            np.uint8,
            delimiter=",",
            usecols=range(labelled, size + labelled),
            ndmin=2,
            quotechar='"',
        )  # [N, 784]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SourceError(f"{path}: expected pixels as whole numbers 0–255, {error}") from error
    names = tuple(row.partition(",")[0].strip().strip('"') for row in rows) if labelled else None
    return names, pixels.reshape(-1, SIDE, SIDE)
