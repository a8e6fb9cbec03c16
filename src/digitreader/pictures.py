"""Picture files decoded: every mode and every frame becomes upright 8-bit pixels."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from digitreader import plain_png
from digitreader.costs import too_costly
from digitreader.errors import SourceError, first_line

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]  # [H, W], or [H, W, 3] in RGB order
Shape = tuple[int, int]  # height and width

KINDS = (
    *("png", "jpg", "jpeg", "jpe", "tif", "tiff", "bmp", "gif", "webp"),
    *("pgm", "ppm", "pbm", "pnm"),
)
MAX_PIXELS = 100_000_000  # a 600-dpi A3 scan has 70 million; more is a mistake or an attack
MAX_TURNED = 80_000_000  # of a picture that is held twice while it is turned by EXIF
# px that the longest side of a reduced JPEG keeps, a quarter more than the reader works with.
# That opens 12 megapixels in 0.035 s of processor time instead of 0.067 s, with 60 MB less, and 48
# in 0.09 s instead of 0.25 s, with 300 MB less (medians of 11). On 13 phone photos the pixels were
# within 6 levels of the area average, 0.15 on average, and all digits were read the same.
ENOUGH_SIDE = 2000
STRIP = 1 << 20  # px converted at a time, so that a large picture is never held three times
SAMPLE = 4_000_000  # px, or some fewer, that tell which paper a transparent picture needs
ORIENTATION = 0x0112  # EXIF; from 5 on a picture lies on its side


def decode(
    content: Path | bytes, name: str, most: int = MAX_PIXELS
) -> Iterator[tuple[Pixels, Shape | None]]:
    """Decode a picture file frame by frame: pixels, and the picture's shape where it has more.

    A large JPEG is decoded at a half, a quarter or an eighth of its size, and that is what may
    have so many pixels at most.

    Raises:
        SourceError: it cannot be decoded, or is too large; the message names it.
    """
    if isinstance(content, bytes) and (pixels := plain_png.decoded(content)) is not None:
        check_size(pixels.shape[1], pixels.shape[0], name, most)
        yield pixels, None
        return
    from PIL import Image

    with _decoding(name):
        image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
    with image:
        with _decoding(name):
            why = too_costly(image)
            if why is not None:
                raise SourceError(f"{name}: {why}")
            own = _reduced(image)
        yield from ((pixels, own) for pixels in decode_image(image, name, most))


def decode_image(image: Image.Image, name: str, most: int = MAX_PIXELS) -> Iterator[Pixels]:
    """Pixels of each frame of a Pillow image, which may have so many pixels.

    Raises:
        SourceError: it is no image at all, or a frame cannot be decoded, or is too large.
    """
    from PIL import Image, ImageSequence

    if not isinstance(image, Image.Image):
        raise SourceError(
            "expected a path, a web address, bytes, a PIL image or an array, "
            f"got a {type(image).__name__}"
        )
    every = ImageSequence.Iterator(image)
    # A phone keeps the brightness or the depth of a photo as a second picture behind it.
    frames = islice(every, 1) if image.format == "MPO" else every
    while True:
        with _decoding(name):  # not while the caller has the frame: what fails then is not ours
            frame = next(frames, None)
            if frame is None:
                return
            check_size(frame.width, frame.height, name, most)
            pixels = _eight_bit(_upright(frame, name))
        yield pixels


def check_size(width: int, height: int, name: str, most: int = MAX_PIXELS) -> None:
    """Refuse a picture that has no pixels, or more than that.

    Raises:
        SourceError: it has.
    """
    if not width * height:
        raise SourceError(f"{name}: the picture has no pixels")
    if width * height > most:
        raise SourceError(f"{name}: {_too_large(most)}")


def on_paper(rgba: Pixels) -> Pixels:
    """Lay a transparent picture on paper that shows it: [H, W, 4] → [H, W, 3].

    Where all that is visible has one brightness, it is ink: the paper is its opposite. Where
    it has several, it is a picture with paper of its own, which goes on under the rest.
    """
    from PIL import Image

    step = _step(*rgba.shape[:2])
    paper = _paper_under(rgba[::step, ::step])
    return _laid(rgba.shape, paper, lambda rows: Image.fromarray(rgba[rows]))


def _paper_under(rgba: Pixels) -> tuple[int, ...]:
    """The colour of the paper that a transparent picture needs, of some of its pixels."""
    visible = rgba[rgba[..., 3] > 127][:, :3]  # [n, 3]
    if not visible.size:
        return (255, 255, 255)
    light = visible.mean(axis=1)
    if np.percentile(light, 98) - np.percentile(light, 2) < 60:
        return (255, 255, 255) if np.median(light) < 128 else (0, 0, 0)
    return tuple(int(level) for level in np.rint(np.median(visible, axis=0)))


def _step(height: int, width: int) -> int:
    """One in so many rows and columns tells the paper."""
    return 1 + int((height * width / SAMPLE) ** 0.5)


# --- with Pillow ------------------------------------------------------------------------------


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Say what is wrong with a picture in one line that names it."""
    try:
        with _QUIET:
            yield
    except SourceError:
        raise
    except Exception as error:  # Pillow lets out whatever it stumbles on in a damaged file
        raise SourceError(f"{name}: {_why(error)}") from error


def _why(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        known = " ".join(sorted(KINDS))
        return f"not a picture, or broken; expected one of {known} or pdf"
    if isinstance(error, Image.DecompressionBombError):
        return _too_large(MAX_PIXELS)
    return f"cannot be decoded: {first_line(error)}"


class _Quiet:
    """No warnings while any thread decodes: they are of odd EXIF, and of sizes that we check.

    Threads that enter `warnings.catch_warnings` by turns would leave the warnings off for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


def _too_large(most: int) -> str:
    return f"more than {most / 1_000_000:g} million pixels; make it smaller first"


def _reduced(image: Image.Image) -> Shape | None:
    """Have a large JPEG decoded smaller, and say how large it is when upright."""
    for part in (8, 4, 2):
        if max(image.size) >= part * ENOUGH_SIDE and min(image.size) >= part:
            width, height = image.size
            if not image.draft(None, (width // part, height // part)):
                return None
            lies = image.getexif().get(ORIENTATION, 1) >= 5
            return (width, height) if lies else (height, width)
    return None


def _upright(image: Image.Image, name: str) -> Image.Image:
    from PIL import ImageOps

    image.load()  # some formats tell how they lie only then
    if image.getexif().get(ORIENTATION, 1) == 1:
        return image  # which would be copied
    check_size(image.width, image.height, name, MAX_TURNED)
    return ImageOps.exif_transpose(image)


def _eight_bit(image: Image.Image) -> Pixels:
    """Pixels of a picture of any mode: uint8 [H, W] or [H, W, 3]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(image)
    if image.mode in ("1", "L"):
        return _array(image, "L")
    if image.has_transparency_data:
        return _on_paper(image)
    return _array(image, "RGB")


def _on_paper(image: Image.Image) -> Pixels:
    """Lay a transparent Pillow image on paper, as `on_paper` does: [H, W, 3]."""
    from PIL import Image

    step = _step(image.height, image.width)
    size = (-(-image.width // step), -(-image.height // step))
    some = image.resize(size, Image.Resampling.NEAREST) if step > 1 else image
    paper = _paper_under(np.asarray(some.convert("RGBA")))
    shape = (image.height, image.width)
    return _laid(shape, paper, lambda rows: _strip(image, rows).convert("RGBA"))


def _laid(
    shape: tuple[int, ...], paper: tuple[int, ...], strip: Callable[[slice], Image.Image]
) -> Pixels:
    """Lay rows of a picture, RGBA images, on paper of a colour: [H, W, 3]."""
    from PIL import Image

    height, width = shape[:2]
    laid = np.empty((height, width, 3), np.uint8)
    for rows in _strips(height, width):
        seen = strip(rows)
        sheet = Image.new("RGB", seen.size, paper)
        sheet.paste(seen, mask=seen)
        laid[rows] = np.asarray(sheet)
    return laid


def _strip(image: Image.Image, rows: slice) -> Image.Image:
    return image.crop((0, rows.start, image.width, rows.stop))


def _array(image: Image.Image, mode: str) -> Pixels:
    """Pixels in another 8-bit mode: uint8 [H, W] or [H, W, channels]."""
    if image.width * image.height <= STRIP:
        return np.array(image if image.mode == mode else image.convert(mode))
    channels = (len(mode),) if len(mode) > 1 else ()
    pixels = np.empty((image.height, image.width, *channels), np.uint8)
    for rows in _strips(image.height, image.width):
        strip = _strip(image, rows)
        pixels[rows] = np.asarray(strip if strip.mode == mode else strip.convert(mode))
    return pixels


def _from_deep(image: Image.Image) -> Pixels:
    """Bring more than 8 bits, or floats, to 8: uint8 [H, W].

    Floats within 0–1 span the range. Otherwise the range is that of the smallest bit depth
    that holds the values, so that a blank page's noise is not stretched into strokes.
    """
    strips = _strips(image.height, image.width)
    peak = max(float(_finite(_strip(image, rows)).max()) for rows in strips)
    bits = max(8, int(np.ceil(np.log2(peak + 1)))) if peak > 0 else 8
    top = 1.0 if image.mode == "F" and peak <= 1 else 2.0**bits - 1
    pixels = np.empty((image.height, image.width), np.uint8)
    for rows in strips:
        pixels[rows] = np.rint(_finite(_strip(image, rows)) / top * 255)
    return pixels


def _finite(image: Image.Image) -> NDArray[np.float64]:
    """The values of an image, [H, W]; 0 for what is none, or less."""
    finite = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.maximum(finite, 0)


def _strips(height: int, width: int) -> list[slice]:
    """Rows of a picture, about STRIP pixels at a time."""
    rows = max(1, STRIP // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
