"""Pictures in the rows of a file: Kaggle's CSV, Parquet, and NumPy's arrays."""

from __future__ import annotations

import tokenize
import zipfile
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from digitreader.batch.archives import BROKEN, Cuts
from digitreader.batch.items import Glyphs, Item, Part, page_in_row
from digitreader.errors import SourceError, first_line, needs_extra
from digitreader.glyphs import SIDE
from digitreader.pictures import check_size
from digitreader.pixel_csv import PIXELS, ink_bright, places, rows_of
from digitreader.sources import Failed, Page, Upload, from_array, stack_in

if TYPE_CHECKING:
    from pyarrow import parquet

AT_ONCE = 1000  # rows
PACKED = 1100  # times its size: more than a file packed by deflate can hold, so a false promise
BUFFER = 1 << 16  # bytes of a Parquet file
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
    with _parquet(path):
        count = _Forward(path).count
        _check_promise(path, count)
        yield from _ranges(count, items)


def open_parquet(part: Part) -> Iterator[Item]:
    """Decode the pictures of rows: encoded ones, as Hugging Face has them, or 784 pixels."""
    path = Path(part.path)
    with _parquet(path):
        for row, cells in _forward(path, path.stat().st_mtime_ns).rows(part.start, part.stop):
            yield from _of_cells(cells, path, row)


class _Forward:
    """The pictures of a Parquet file's rows, read on from where the part before ended.

    A row is decoded with all that stand before it in its group, and often all rows are one group:
    begun anew for each part, a million of them would be decoded a hundred times.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self._path = path
        # Read through a small buffer: mapped, or read ahead, a file of any size is in memory whole.
        self._file = parquet.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
        self._column = _column(self._file, path)
        groups = map(self._file.metadata.row_group, range(self._file.num_row_groups))
        self._begins = list(accumulate((group.num_rows for group in groups), initial=0))
        self._row = -1  # that is read next; none so far
        self.count = self._begins[-1]

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, Any]]:
        """Yield rows, some at a time, as an array of Arrow's, with the number of the first."""
        group = bisect_right(self._begins, start) - 1
        if not self._begins[group] <= self._row <= start:
            self._row, self._left = self._begins[group], None
            groups = range(group, self._file.num_row_groups)
            batches = self._file.iter_batches(AT_ONCE, groups, [self._column], use_threads=False)
            self._cells = (batch.column(0) for batch in batches)
        while self._row < stop:
            cells = self._left or next(self._cells, None)
            if cells is None:
                raise SourceError(f"{self._path}: cut short, in row {self._row + 1}")
            row, skipped = self._row, max(0, start - self._row)
            used = min(len(cells), stop - row)
            self._row, self._left = row + used, cells[used:]
            if skipped < used:
                yield row + skipped, cells[skipped:used]


@lru_cache(maxsize=1)
def _forward(path: Path, changed: int) -> _Forward:
    """Open a file, or go on with it as it was left; one that has changed since is another."""
    del changed
    return _Forward(path)


def _of_cells(cells: Any, path: Path, row: int) -> Iterator[Page | Failed]:
    """The pictures in cells of Arrow's: together where all are pixels, else one by one."""
    images = _pixels(cells)
    if images is not None:
        yield from (Page(image, str(path), i) for i, image in enumerate(images, row + 1))
    elif len(cells) > 1:
        for i in range(len(cells)):
            yield from _of_cells(cells[i : i + 1], path, row + i)
    else:
        yield _encoded(cells[0].as_py(), path, row)


def _pixels(cells: Any) -> NDArray[np.uint8] | None:
    """The pictures in lists of 784 whole numbers 0–255, uint8 [N, 28, 28]; None: not all are."""
    import pyarrow as pa
    from pyarrow import compute

    if not isinstance(cells, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return None
    numbers = cells.flatten()
    if cells.null_count or numbers.null_count or not pa.types.is_integer(numbers.type):
        return None
    lengths = np.from_dlpack(compute.list_value_length(cells))
    values = np.from_dlpack(numbers)  # to_numpy imports pandas where it is installed
    if (lengths != PIXELS).any() or values.min() < 0 or values.max() > 255:
        return None
    return np.asarray(values, np.uint8).reshape(-1, SIDE, SIDE)


def _encoded(cell: Any, path: Path, row: int) -> Page | Failed:
    """The picture whose bytes are in a cell."""
    where = f"{path}, row {row + 1}"
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return page_in_row(Upload(where, content), str(path), row + 1)
    return Failed(str(path), row + 1, f"{where}: expected an encoded picture or 784 pixels")


@contextmanager
def _parquet(path: Path) -> Iterator[None]:
    """Say of a broken file that it is one."""
    with needs_extra("Parquet", "parquet"):
        from pyarrow import ArrowException
    try:
        yield
    except (OSError, ArrowException) as error:
        _forward.cache_clear()  # no part goes on from where another broke off
        why = first_line(error)
        raise SourceError(f"{path}: not a Parquet file that can be read ({why})") from error


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
    """Cut by the pictures in it."""
    del scratch
    with _array(path) as (_, stack):
        yield from _ranges(stack[0], items)


def open_array(part: Part) -> Iterator[Item]:
    """Read pictures from an array, one at a time."""
    with _array(Path(part.path)) as (file, stack):
        size = prod(stack[1:])
        file.seek(part.start * size, 1)
        for row in range(part.start, part.stop):
            pixels = np.frombuffer(file.read(size), np.uint8)
            if pixels.size < size:
                raise SourceError(f"{part.path}: cut short, in row {row + 1}")
            picture = from_array(pixels.reshape(stack[1:]), part.path)
            yield Page(picture, part.path, row + 1)


@contextmanager
def _array(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    """Give the bytes of an array of pictures from its first on, and its shape, as `stack_in` tells.

    An `.npz` file is read through its one array of pictures. Nothing is ever unpickled.
    """
    try:
        with _npy(path) as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, by_columns, dtype = header(file)
            yield file, _stack(path, shape, by_columns, dtype)
    except (*BROKEN, KeyError, OverflowError, SyntaxError, tokenize.TokenError) as error:
        raise SourceError(f"{path}: not an array that can be read ({first_line(error)})") from error


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


def _stack(
    path: Path, shape: tuple[int, ...], by_columns: bool, dtype: np.dtype[Any]
) -> tuple[int, ...]:
    shape = tuple(map(int, shape))  # of numbers, though a header may say True
    stack = stack_in(shape, dtype, str(path))
    if by_columns:
        raise SourceError(f"{path}: expected an array that lies row by row, got one by columns")
    check_size(stack[2], stack[1], str(path))
    _check_promise(path, prod(shape))
    return stack


def _check_promise(path: Path, things: int) -> None:
    """Refuse a header by which more parts would be listed than the file can hold."""
    if not 0 <= things <= PACKED * path.stat().st_size:
        raise SourceError(f"{path}: its header promises more than is in it")
