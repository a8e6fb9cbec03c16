"""Bad pictures, as broken disks, unlucky users and attackers make them; the same ones every time.

python tests/bad_pictures.py FOLDER      writes all of them, to try on any program
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import bad_archives
import bad_claims
import bad_documents
from pdf_files import from_pillow, one_page, scan

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = "90210"
CUTS = 20  # places at which each file is cut
FLIPS = 20  # times that bits of each are flipped
LONG = 100_000  # px
# A small picture is taken to show one digit: a bar is a 1.
LOOKS_LIKE = {"frame": "0", "stripes": "1", "squares": "8"}
HEAD = 200  # bytes; half of the flipped bits lie there
NAMES = ("a\n7.png", "a\x1b[31m7.png", "caf\udce9.png", "\u202e7.png", "-", "--help", "@list.png",
         "*.png", "[7].png", "~", "webcam:0", " .png", "7.png ", "x" * 251 + ".png")  # fmt: skip
ODDS = ("", ".png", ".jpg", ".tif", ".gif", ".npy", ".pdf", ".csv", ".zip", ".tar", ".parquet")


@dataclass(frozen=True)
class Bad:
    """A bad file: its name and content, and all that may be read in it with confidence."""

    name: str
    content: bytes
    says: str = ""


# --- whole files, to be damaged -----------------------------------------------------------------


def number() -> Image.Image:
    """A handwritten number, 160×52, grey."""
    with Image.open(EXAMPLES / "postcode.png") as image:
        return image.convert("L").resize((160, 52), Image.Resampling.BOX)


def digit() -> NDArray[np.uint8]:
    """A handwritten digit, uint8 [28, 28]."""
    with Image.open(EXAMPLES / "tiny_28x28.png") as image:
        return np.asarray(image.convert("L"))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


@cache
def whole() -> dict[str, bytes]:
    """A good file of each kind that is read, by its name."""
    grey = number()
    clear = Image.new("LA", grey.size)
    clear.putalpha(grey.point([255 - level for level in range(256)]))
    modes = {
        "grey": grey,
        "bits": grey.convert("1"),
        "deep": Image.fromarray(np.asarray(grey, np.uint16) * np.uint16(257)),
        "floats": Image.fromarray(np.asarray(grey, np.float32) / np.float32(255)),
        "colours": grey.convert("RGB"),
        "palette": grey.convert("P"),
        "clear": clear,
        "cmyk": grey.convert("CMYK"),
    }
    files = {
        f"{mode}.{form.lower()}": encoded(modes[mode], form)
        for form, some in {
            "PNG": ("grey", "bits", "deep", "colours", "palette", "clear"),
            "JPEG": ("grey", "cmyk"),
            "TIFF": ("grey", "deep", "floats", "cmyk"),
            "BMP": ("grey", "colours", "palette"),
            "GIF": ("grey",),
            "PPM": ("grey", "colours", "bits", "deep"),
        }.items()
        for mode in some
    }
    return files | _variants(grey) | _others(grey)


def _variants(grey: Image.Image) -> dict[str, bytes]:
    """Files of several frames or pages, and those that are packed or turned in other ways."""
    frames = {"save_all": True, "append_images": [grey.rotate(2, fillcolor=255), grey]}
    turned = Image.Exif()
    turned[bad_claims.ORIENTATION] = 6
    return {
        "progressive.jpg": encoded(grey, "JPEG", progressive=True),
        "turned.jpg": encoded(grey.rotate(90, expand=True), "JPEG", exif=turned),
        "lossless.webp": encoded(grey, "WEBP", lossless=True),
        "lossy.webp": encoded(grey, "WEBP"),
        "moving.webp": encoded(grey, "WEBP", **frames),
        "moving.gif": encoded(grey, "GIF", **frames),
        "moving.png": encoded(grey, "PNG", **frames),
        "pages.tif": encoded(grey, "TIFF", **frames),
        "text.pgm": b"P2 160 52 255 " + b" ".join(b"%d" % level for level in grey.tobytes()),
        **{
            f"{how}.tif": encoded(grey, "TIFF", compression=how)
            for how in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")
        },
        "group4.tif": encoded(grey.convert("1"), "TIFF", compression="group4"),
    }


def _others(grey: Image.Image) -> dict[str, bytes]:
    """Arrays, documents, tables and archives."""
    stack = np.stack([digit()] * 3)
    array = io.BytesIO()
    np.save(array, stack)
    rows = "\n".join(",".join(map(str, row)) for row in stack.reshape(3, -1))
    header = ",".join(f"pixel{i}" for i in range(784))
    return {
        "stack.npy": array.getvalue(),
        "rows.csv": f"{header}\n{rows}\n".encode(),
        "scan.pdf": from_pillow(grey),
        "drawing.pdf": one_page(b"q 72 0 0 144 0 0 cm /I Do Q 0 g 9 9 9 9 re f", i=scan(9, 18)[0]),
        **bad_archives.whole(encoded(grey, "PNG"), stack),
    }


# --- families -----------------------------------------------------------------------------------


def cut() -> Iterator[Bad]:
    """Files that end too soon, as where a disk was full or a download broke off."""
    for name, content in whole().items():
        for part in range(CUTS):
            yield Bad(f"cut_{part:02}_{name}", content[: part * len(content) // CUTS], says(name))


def flipped() -> Iterator[Bad]:
    """Files some of whose bits are wrong, as of a disk or a memory that fails."""
    rng = np.random.default_rng(0)
    for name, content in whole().items():
        for turn in range(FLIPS):
            damaged = np.frombuffer(content, np.uint8).copy()
            ends = (min(HEAD, damaged.size), damaged.size)
            for end in rng.choice(ends, rng.integers(1, 17)):
                damaged[rng.integers(end)] ^= 1 << rng.integers(8)
            yield Bad(f"flipped_{turn:02}_{name}", damaged.tobytes(), says(name))


def says(name: str) -> str:
    """What a whole file says, line by line or not."""
    return "6" if name in ("stack.npy", "rows.csv", "arrays.npz") else SAYS


def misnamed() -> Iterator[Bad]:
    """Files with the suffix of another kind, and empty ones."""
    names = list(whole())
    for i, name in enumerate(names):
        for away in (5, 11, 17):
            suffix = "".join(Path(names[i - away]).suffixes)
            yield Bad(f"{away}_{name.replace('.', '_')}{suffix}", whole()[name], says(name))
    for suffix in ODDS:
        yield Bad(f"empty{suffix}", b"")
        yield Bad(f"noise{suffix}", np.random.default_rng(0).bytes(5000))
        yield Bad(f"line{suffix}", b"\n")


def sizes() -> Iterator[Bad]:
    """Pictures of one pixel, of one line, and of nothing but noise, stripes or squares."""
    for width, height in ((1, 1), (1, 2), (2, 1), (3, 3), (1, 28), (28, 1), (LONG, 1), (1, LONG)):
        for level in (0, 128, 255):
            image = Image.new("L", (width, height), level)
            for form in ("PNG", "TIFF", "PPM"):
                yield Bad(f"{width}x{height}_{level}.{form.lower()}", encoded(image, form))
    for side in (5, 28, 63, 64, 200, 700):
        for kind, pixels in patterns(side).items():
            like = LOOKS_LIKE.get(kind, "") if side < 64 else ""
            yield Bad(f"{kind}_{side}.png", encoded(Image.fromarray(pixels), "PNG"), like)


def patterns(side: int) -> dict[str, NDArray[np.uint8]]:
    """Pictures in which there is nothing to read: uint8 [side, side], or with colours."""
    rng = np.random.default_rng(side)
    rows, columns = np.indices((side, side))
    flat = np.full((side, side), 200.0)
    kinds = {
        "noise": rng.integers(0, 256, (side, side)),
        "colour_noise": rng.integers(0, 256, (side, side, 3)),
        "grain": flat + rng.normal(0, 20, flat.shape),
        "salt": 255 * (rng.random(flat.shape) < 0.05),
        "squares": 255 * ((rows // 4 + columns // 4) % 2),
        "stripes": 255 * (columns // 3 % 2),
        "slope": rows * 255 / side,
        "frame": 255 * ((rows < 2) | (columns < 2) | (rows >= side - 2) | (columns >= side - 2)),
    }
    return {kind: np.clip(pixels, 0, 255).astype(np.uint8) for kind, pixels in kinds.items()}


def crowds() -> Iterator[Bad]:
    """Pages that are full: of digits, large and small, and of pieces that are none."""
    small = np.asarray(number().resize((80, 26), Image.Resampling.BOX))
    page = Image.fromarray(np.tile(small, (30, 10)))
    yield Bad("numbers.png", encoded(page, "PNG"), SAYS * 300)
    for side in (10, 16, 20, 28):
        one = np.asarray(Image.fromarray(digit()).resize((side, side), Image.Resampling.BOX))
        page = Image.fromarray(np.tile(one, (1000 // side, 1000 // side)))
        yield Bad(f"digits_{side}.png", encoded(page, "PNG"), "6" * 10_000)
    for kind, pixels in patterns(1600).items():
        yield Bad(f"{kind}_1600.png", encoded(Image.fromarray(pixels), "PNG"))


def names() -> Iterator[Bad]:
    """Good pictures whose names are hard to print, or to tell from something else."""
    for name in NAMES:
        yield Bad(name, whole()["grey.png"], SAYS)


def _named(files: Callable[[], Iterator[tuple[str, bytes]]]) -> Callable[[], Iterator[Bad]]:
    return lambda: (Bad(name, content) for name, content in files())


FAMILIES: dict[str, Callable[[], Iterator[Bad]]] = {
    "cut": cut,
    "bits flipped": flipped,
    "another suffix, empty": misnamed,
    "sizes and noise": sizes,
    "names": names,
    "headers that lie": _named(bad_claims.lies),
    "PDFs that lie": _named(bad_documents.lies),
    "archives": lambda: (
        Bad(name, content, SAYS)
        for name, content in bad_archives.bad(encoded(number(), "PNG"))
    ),
    "crowded pages": crowds,
    "bombs": _named(bad_claims.bombs),
    "PDF bombs": _named(bad_documents.bombs),
    "archive bombs": _named(bad_archives.bombs),
}  # fmt: skip


def write(files: Iterator[Bad], folder: Path) -> dict[Path, str]:
    """Write bad files to a new folder; give what each of them may say."""
    folder.mkdir(parents=True)
    written = {}
    for bad in files:
        path = folder / bad.name
        assert path not in written, path
        path.write_bytes(bad.content)
        written[path] = bad.says
    return written


if __name__ == "__main__":
    for family, make in FAMILIES.items():
        files = write(make(), Path(sys.argv[1]) / family.replace(" ", "_").replace(",", ""))
        print(f"{family}: {len(files)}")
