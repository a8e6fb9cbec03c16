"""`digitreader read`: pictures in, digits out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from digitreader.arguments import expand
from digitreader.errors import AS_ESCAPES, ExitCode, UsageError
from digitreader.outputs import FORMATS, annotated, format_of
from digitreader.reading import Reading
from digitreader.sources import Failed
from digitreader.writing import make_folder, whole

if TYPE_CHECKING:
    from PIL import Image

    from digitreader.detection import Layout
    from digitreader.reader import Reader
    from digitreader.sources import Page

MOST_IN_NAME = 100  # bytes of a source, and of a label, in the names of pictures; systems take 255
OUT_FOLDER = click.Path(file_okay=False, path_type=Path)
LAYOUT = click.option(
    "--layout",
    type=click.Choice(["auto", "single", "page"]),
    default="auto",
    show_default=True,
    help="One main digit, all digits, or whichever it is.",
)
MIN_CONFIDENCE = click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    help="Call digits with less confidence unsure; the default is the model's.",
)
MODEL = click.option(
    "--model",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An .onnx file made by `digitreader train`; the default comes with the package.",
)


@click.command(no_args_is_help=True)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="How to write the readings: "
    + "; ".join(f"{name} ({form.about})" for name, form in FORMATS.items())
    + ". The default is the suffix of --output, or table.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
@click.option("--annotate", type=OUT_FOLDER, help="Write each page with its boxes to this folder.")
@click.option(
    "--show-input",
    type=OUT_FOLDER,
    help="Write the 28×28 pictures that the model saw to this folder.",
)
@click.option(
    "--explain",
    type=OUT_FOLDER,
    help="Write what speaks for each digit's likeliest classes, drawn on it, to this folder.",
)
@LAYOUT
@MIN_CONFIDENCE
@MODEL
@click.option("-q", "--quiet", is_flag=True, help="No progress, no messages; the exit code tells.")
def read(  # noqa: PLR0913 (one parameter per option)
    sources: tuple[str, ...],
    *,
    form: str | None,
    output: Path | None,
    annotate: Path | None,
    show_input: Path | None,
    explain: Path | None,
    layout: Layout,
    min_confidence: float | None,
    model: Path | None,
    quiet: bool,
) -> int:
    """Read the digits in pictures.

    A SOURCE is a picture, a folder of pictures, a pattern such as 'scans/*.png', a web address,
    `-` for standard input, or @list.txt for a file that names one source a line.

    \b
    digitreader read photo.jpg
    digitreader read scans/ --format jsonl
    digitreader read page.png --annotate out/
    digitreader read test.csv -o submission.csv      Kaggle's digits, and its form of answers
    """
    form = form or (format_of(output) if output else "table")
    if output and not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent} to write to")
    if FORMATS[form].binary and not output and sys.stdout.isatty():
        raise UsageError(f"{form} is not for a terminal: add -o FILE")
    planned = list(expand(sources))
    good = any(isinstance(source, str) for source in planned)
    reader = _reader(model, min_confidence) if good else None
    labels = reader.labels if reader else ()
    work = _Work(reader, layout, quiet, _Folders(annotate, show_input, explain))
    with _stream(output, FORMATS[form].binary) as stream:
        FORMATS[form].write(work.readings(planned), stream, labels)
    if work.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if work.failed else ExitCode.OK


def _reader(model: Path | None, min_confidence: float | None) -> Reader:
    from digitreader.reader import Reader

    return Reader(model, min_confidence=min_confidence)


@dataclass(frozen=True)
class _Folders:
    """Where pictures go that are kept beside the readings; None: they are not."""

    annotate: Path | None
    show_input: Path | None
    explain: Path | None


class _Work:
    """Reads what is planned, keeps the pictures asked for, and remembers what went wrong."""

    def __init__(
        self,
        reader: Reader | None,
        layout: Layout,
        quiet: bool,
        folders: _Folders,
    ) -> None:
        self.reader, self.layout, self.quiet = reader, layout, quiet
        self.folders = folders
        self.failed = False
        self.interrupted = False
        self._names: set[str] = set()
        for folder in astuple(folders):
            if folder:
                make_folder(folder)

    def readings(self, planned: list[str | Failed]) -> Iterator[Reading]:
        """Yield a reading for each page; Ctrl-C ends the row early and keeps what was read."""
        try:
            for item in _progress(planned, self.quiet):
                for page, reading in self._read(item):
                    if page:
                        self._keep_pictures(page, reading)
                    if reading.error:
                        self.failed = True
                        if not self.quiet:
                            click.echo(f"Error: {reading.error}", err=True)
                    yield reading
        except KeyboardInterrupt:
            self.interrupted = True

    def _read(self, item: str | Failed) -> Iterable[tuple[Page | None, Reading]]:
        if isinstance(item, str):
            assert self.reader is not None  # there is one as soon as one source is good
            return self.reader.read_pages([item], self.layout)
        model = self.reader.model if self.reader else ""
        return [(None, Reading.failed(item.source, item.number, model, item.why))]

    def _keep_pictures(self, page: Page, reading: Reading) -> None:
        assert self.reader is not None  # it read the page
        name, folders = self._free_name(page), self.folders
        if folders.annotate:
            _save(annotated(page.pixels, reading, page.shape), folders.annotate / f"{name}.png")
        for i, digit in enumerate(reading.digits, start=1):
            file = f"{name}-{i}-{_plain(str(digit.label))}.png"
            if folders.show_input:
                from PIL import Image

                _save(Image.fromarray(digit.glyph), folders.show_input / file)
            if folders.explain:
                _save(self.reader.explain(digit), folders.explain / file)

    def _free_name(self, page: Page) -> str:
        """Return a file name for a page's pictures that no other page of this run has."""
        stem = _plain(Path(page.source).stem or "page")
        stem += f"-page{page.number}" if page.number > 1 else ""
        name, again = stem, 2
        while name in self._names:
            name, again = f"{stem}-{again}", again + 1
        self._names.add(name)
        return name


def _save(picture: Image.Image, path: Path) -> None:
    with whole(path) as draft:
        picture.save(draft)


def _plain(text: str) -> str:
    """Return what any file system takes in a name, and none as a path, of a name or a label."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in text)
    return plain.encode()[:MOST_IN_NAME].decode(errors="ignore")


def _progress(planned: list[str | Failed], quiet: bool) -> Iterable[str | Failed]:
    """Show how far the run is, on a terminal."""
    if quiet or len(planned) < 2 or not sys.stderr.isatty():
        return planned
    from rich.console import Console
    from rich.progress import track

    return track(planned, "reading", console=Console(stderr=True), transient=True)


@contextmanager
def _stream(output: Path | None, binary: bool) -> Iterator[IO[Any]]:
    """Give where to write: standard output, or a file that gets its name when it is whole."""
    if output is None:
        yield sys.stdout.buffer if binary else sys.stdout
        return
    with (
        whole(output) as draft,
        draft.open("wb")
        if binary
        else draft.open("w", encoding="utf-8", errors=AS_ESCAPES, newline="") as stream,
    ):
        yield stream
