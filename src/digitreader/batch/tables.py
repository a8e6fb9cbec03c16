"""Pictures in the rows of a file: Kaggle's CSV, Parquet, and NumPy's arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from digitreader.batch.archives import Cuts
from digitreader.batch.items import Glyphs, Item, Part, page_in_row
from digitreader.errors import SourceError, needs_extra
from digitreader.glyphs import SIDE
from digitreader.pixel_csv import PIXELS, ink_bright, places, rows_of
from digitreader.sources import Failed, Page, Upload

if TYPE_CHECKING:
    from pyarrow import parquet

AT_ONCE = 1000  # rows
IMAGES = ("image", "images", "img", "picture", "bytes", "content", "pixels")  # a column, an array
IMAGES_IN_NPZ = ("x_test", "X", "images", "x_train", "x", "arr_0")


def cut_csv(path: Path, items: int, scratch: Path) -> Cuts:
    """Cut by where rows begin."""
    del scratch
    for start, stop, offset in places(path, items):
        yield {"start": start, "stop": stop, "offset": offset}


def open_csv(part: Part) -> Iterator[Item]:
    """Read glyphs, a thousand at a time."""
    first = part.start + 1
    for rows in rows_of(Path(part.path), part.start, part.stop, part.offset):
        yield Glyphs(ink_bright(rows.images), part.path, first, rows.broken)
        first += len(rows.images)


def _ranges(rows: int, items: int) -> Cuts:
    for start in range(0, rows, items):
        yield {"start": start, "stop": min(start + items, rows)}


# --- Parquet ------------------------------------------------------------------------------------


def cut_parquet(path: Path, items: int, scratch: Path) -> Cuts:
    """Cut by rows."""
    del scratch
    with _parquet(path) as file:
        _column(file, path)
        yield from _ranges(file.metadata.num_rows, items)


def open_parquet(part: Part) -> Iterator[Item]:
    """Decode the pictures of rows: encoded ones, as Hugging Face has them, or 784 pixels."""
    path = Path(part.path)
    with _parquet(path) as file:
        name = _column(file, path)
        row = 0
        for batch in file.iter_batches(AT_ONCE, columns=[name]):
            skipped = max(0, part.start - row)
            if skipped < len(batch):
                kept = batch.column(0)[skipped : part.stop - row]
                yield from (_of_cell(cell, path, row + skipped + i) for i, cell in enumerate(kept))
            row += len(batch)
            if row >= part.stop:
                return


def _of_cell(cell: Any, path: Path, row: int) -> Page | Failed:
    """The picture in a cell of Arrow's."""
    where = f"{path}, row {row + 1}"
    pixels = _pixels(cell)
    if pixels is not None:
        return Page(pixels, str(path), row + 1)
    content = cell.as_py()
    content = content.get("bytes") if isinstance(content, dict) else content
    if isinstance(content, bytes):
        return page_in_row(Upload(where, content), str(path), row + 1)
    return Failed(str(path), row + 1, f"{where}: expected an encoded picture or 784 pixels")


def _pixels(cell: Any) -> NDArray[np.uint8] | None:
    """The picture in a list of 784 whole numbers 0–255, uint8 [28, 28]; None: it is none."""
    import pyarrow as pa

    if not isinstance(cell, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
        return None
    if cell.values is None or len(cell.values) != PIXELS or cell.values.null_count:
        return None
    numbers = cell.values.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() > 255:
        return None
    return np.asarray(numbers, np.uint8).reshape(SIDE, SIDE)


@contextmanager
def _parquet(path: Path) -> Iterator[parquet.ParquetFile]:
    with needs_extra("Parquet", "parquet"):
        from pyarrow import ArrowException, parquet
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            yield file
    except (OSError, ArrowException) as error:
        raise SourceError(f"{path}: not a Parquet file that can be read ({error})") from error


def _column(file: parquet.ParquetFile, path: Path) -> str:
    names = file.schema_arrow.names
    for name in IMAGES:
        if name in names:
            return name
    raise SourceError(
        f"{path}: expected a column of pictures called {' or '.join(IMAGES)}, "
        f"found {', '.join(names) or 'none'}"
    )


# --- NumPy --------------------------------------------------------------------------------------


def cut_array(path: Path, items: int, scratch: Path) -> Cuts:
    """Cut by the array's first axis."""
    del scratch
    with _array(path) as (_, shape):
        yield from _ranges(shape[0], items)


def open_array(part: Part) -> Iterator[Item]:
    """Read pictures from an array, some at a time: [N, 784], [N, H, W] or [N, H, W, 1 or 3]."""
    with _array(Path(part.path)) as (file, shape):
        size = prod(shape[1:])
        file.seek(part.start * size, 1)
        for row in range(part.start, part.stop):
            pixels = np.frombuffer(file.read(size), np.uint8)
            if pixels.size < size:
                raise SourceError(f"{part.path}: cut short, in row {row + 1}")
            yield Page(_picture(pixels, shape[1:]), part.path, row + 1)


def _picture(pixels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if shape == (PIXELS,):
        return pixels.reshape(SIDE, SIDE)
    return pixels.reshape(shape[:2] if shape[2:] == (1,) else shape)


@contextmanager
def _array(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """Give the bytes of an array of pictures from its first on, and its shape.

    An `.npz` file is read through its one array of pictures. Nothing is ever unpickled.
    """
    try:
        with _npy(path) as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, by_columns, dtype = header(file)
            _check(path, shape, by_columns, dtype)
            yield file, shape
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"{path}: not an array that can be read ({error})") from error


@contextmanager
def _npy(path: Path) -> Iterator[IO[bytes]]:
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        chosen = next((n for n in IMAGES_IN_NPZ if f"{n}.npy" in names), None)
        if chosen is None:
            raise SourceError(
                f"{path}: expected an array called {' or '.join(IMAGES_IN_NPZ)}, "
                f"found {', '.join(name.removesuffix('.npy') for name in names) or 'none'}"
            )
        with archive.open(f"{chosen}.npy") as file:
            yield file


def _check(path: Path, shape: tuple[int, ...], by_columns: bool, dtype: np.dtype[Any]) -> None:
    pictures = len(shape) == 3 or shape[1:] == (PIXELS,) or (len(shape) == 4 and shape[3] in (1, 3))
    if dtype != np.uint8 or by_columns or not pictures or not prod(shape):
        raise SourceError(
            f"{path}: expected uint8 [N, 784], [N, H, W] or [N, H, W, 1 or 3], "
            f"got {dtype} {list(shape)}"
        )
