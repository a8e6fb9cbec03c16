"""Coverage-guided fuzzing of everything between a file's bytes and its readings.

It needs atheris, which has wheels for Linux alone and so is no dependency of the tests:

python -m pip install atheris
python tests/fuzz_decode.py FOLDER -max_total_time=1800 -rss_limit_mb=8192 -timeout=60

FOLDER keeps the inputs that led somewhere new; where there is none it is made, of the small files
among the bad pictures. What else follows are libFuzzer's own options. An input that breaks
something is left as `crash-…`, `timeout-…` or `oom-…`, and tried again by

python tests/fuzz_decode.py crash-…

The process grows by 0.3 MB an input, which the same inputs without atheris do not.

The first byte of an input says what kind of file the rest is: its place in KINDS.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["digitreader", "PIL"]):
    from PIL import Image

    from digitreader.batch.items import Glyphs, Item
    from digitreader.batch.plan import items_of, plan
    from digitreader.outputs import FORMATS
    from digitreader.reader import Reader
    from digitreader.reading import Reading
    from digitreader.sources import Failed, Upload

    Image.init()  # imports all decoders

# PDFs are left out: a process of its own reads each, and where that dies a row says so.
KINDS = ("", ".npy", ".csv", ".zip", ".tar", ".parquet", ".npz", ".tar.gz")
SMALL = 20_000  # bytes; of what is longer no seed is made
FEW = 3  # pages of a file that are read
MOST_PIXELS = 1_000_000
READER = Reader(threads=1, max_pixels=MOST_PIXELS)


def main() -> None:
    folder = Path(sys.argv[1])
    if not folder.exists():
        folder.mkdir(parents=True)
        for number, seed in enumerate(seeds()):
            (folder / f"seed-{number:04}").write_bytes(seed)
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()


def seeds() -> Iterator[bytes]:
    from bad_pictures import EXAMPLES, FAMILIES, whole

    files = [*whole().items(), *((path.name, path.read_bytes()) for path in EXAMPLES.iterdir())]
    for family in ("cut", "headers that lie", "archives"):
        files += [(bad.name, bad.content) for bad in islice(FAMILIES[family](), 0, None, 5)]
    for name, content in files:
        if len(content) < SMALL and not content.startswith(b"%PDF-"):
            yield bytes([kind_of(name)]) + content


def kind_of(name: str) -> int:
    return next((i for i, suffix in enumerate(KINDS) if suffix and name.endswith(suffix)), 0)


def try_one(data: bytes) -> None:
    """Read a file, of which only readings may come, or rows that say why there is none."""
    if not data or b"%PDF-" in data[:100]:
        return
    for reading in islice(readings(KINDS[data[0] % len(KINDS)], data[1:]), FEW):
        check(reading)


def readings(suffix: str, content: bytes) -> Iterator[Reading]:
    if not suffix:
        yield from READER.read_many([Upload("name", content)])
        return
    with TemporaryDirectory() as folder:
        path = Path(folder, f"file{suffix}")
        path.write_bytes(content)
        for part in islice(plan([str(path)], 50, Path(folder, "scratch")), FEW):
            for item in items_of(part):
                yield from of_item(item)


def of_item(item: Item) -> list[Reading]:
    if isinstance(item, Glyphs):
        return READER.read_glyphs(item.images, item.source, item.first)
    if isinstance(item, Failed):
        return [READER.failed(item)]
    return [READER.read_page(item)] if item.pixels.size <= MOST_PIXELS else []


def check(reading: Reading) -> None:
    if reading.status == "error":
        assert reading.error, reading
        assert reading.error.isprintable(), reading.error
    for digit in reading.digits:
        assert 0 <= min(digit.probabilities) <= sum(digit.probabilities) < 1.001, digit
        assert digit.confidence == max(digit.probabilities), digit
        assert min(digit.box.width, digit.box.height) > 0, digit
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        FORMATS["jsonl"].write([reading], nowhere, READER.labels)


if __name__ == "__main__":
    main()
