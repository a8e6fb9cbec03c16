"""The page without a browser: what it keeps, draws and shows."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from conftest import EXAMPLES, ROOT

pytest.importorskip("streamlit", reason="the extra 'page' is not installed")

from streamlit.testing.v1 import AppTest

import digitreader.doors.page
from digitreader.card import ModelCard
from digitreader.classifier import SHIPPED, shipped_model
from digitreader.doors.cli import run
from digitreader.doors.page import canvas, drawing, front, markup
from digitreader.doors.page.corrections import NO_DIGIT, Corrections
from digitreader.doors.page.history import History
from digitreader.doors.page.models import scores_of
from digitreader.doors.page.number import number
from digitreader.doors.page.pictures import MOST_PAGES, examples, read_file
from digitreader.errors import ExitCode
from digitreader.reader import Reader
from digitreader.sources import Page
from digitreader.steps import steps_of
from digitreader.training.datasets import load

PAGE = Path(digitreader.doors.page.__file__).parent
Shown = Callable[..., AppTest]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shown:
    """Shows a room of the page, started in an empty folder with these arguments."""
    monkeypatch.chdir(tmp_path)
    # Streamlit puts its script there, which processes that a later test starts would run.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def show(room: str, *arguments: str) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        app = AppTest.from_file(ROOT / "app.py", default_timeout=60)
        app.session_state["room"] = room
        return app.run()

    return show


def html_of(app: AppTest) -> str:
    return "".join(element.proto.body for element in app.get("html"))


# --- what is kept -----------------------------------------------------------------------------


def test_training_reads_corrections_back_as_they_were(
    tmp_path: Path, optdigits: tuple[NDArray[np.uint8], NDArray[np.int64]], reader: Reader
) -> None:
    written = [d.glyph for path in sorted(EXAMPLES.glob("p*.*g")) for d in reader.read(path).digits]
    glyphs = [*optdigits[0][:50], *written]
    corrections = Corrections(tmp_path / "corrections")
    labels = [str(i % 10) for i in range(len(glyphs))]
    for glyph, label in zip(glyphs, labels, strict=True):
        corrections.keep(glyph, label)
    corrections.keep(np.eye(28, dtype=np.uint8), NO_DIGIT)
    read = load(f"folder:{corrections.folder}").train
    found = {
        (image.tobytes(), str(target))
        for image, target in zip(read.images, read.targets, strict=True)
    }
    assert found == {(g.tobytes(), label) for g, label in zip(glyphs, labels, strict=True)}


def test_a_corrected_glyph_lies_where_it_was_put_last(tmp_path: Path) -> None:
    corrections = Corrections(tmp_path)
    glyph, other = np.full((28, 28), 7, np.uint8), np.full((28, 28), 8, np.uint8)
    for label in ("1", "1", NO_DIGIT, "7"):
        corrections.keep(glyph, label)
        assert corrections.find(glyph) == label
    corrections.keep(other, "7")
    assert corrections.counts() == {"7": 2}
    corrections.forget(glyph)
    assert (corrections.find(glyph), corrections.find(other)) == (None, "7")
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []


def test_history_is_downloaded_as_the_command_writes_it(reader: Reader) -> None:
    history = History()
    for name in ("felt_pen.png", "postcode.png", "felt_pen.png"):
        history.keep(name, read_file(reader, name, (EXAMPLES / name).read_bytes()), reader.labels)
    history.keep("broken", read_file(reader, "broken.png", b"nothing"), reader.labels)
    rows = list(csv.DictReader(io.StringIO(history.as_csv())))
    assert [row["label"] for row in rows] == ["7", *"90210", ""]
    objects = json.loads(history.as_json())
    assert [(o["source"], o["text"]) for o in objects][:2] == [
        ("felt_pen.png", "7"), ("postcode.png", "90210"),
    ]  # fmt: skip
    assert rows[-1]["status"] == objects[-1]["status"] == "error"
    assert "broken.png" in rows[-1]["error"]


def test_a_change_of_model_leaves_each_probability_under_its_label(reader: Reader) -> None:
    read = read_file(reader, "7", (EXAMPLES / "felt_pen.png").read_bytes())
    history = History()
    for model, labels in (("digits", reader.labels), ("letters", tuple("3210ABCDEF"))):
        history.keep(model, read, labels)
    first, second = csv.DictReader(io.StringIO(history.as_csv()))
    ((_, reading),) = read
    told = [f"{p:.6f}" for p in reading.digits[0].probabilities]
    assert [first[f"p_{label}"] for label in "0123456789"] == told
    assert [second[f"p_{label}"] for label in "3210ABCDEF"] == told
    assert first["p_F"] == second["p_9"] == "0.000000"


def test_of_a_long_document_the_first_pages_are_read(reader: Reader) -> None:
    pages = [Image.new("L", (20, 20), 255) for _ in range(MOST_PAGES + 1)]
    document = io.BytesIO()
    pages[0].save(document, "TIFF", save_all=True, append_images=pages[1:])
    *read, (_, last) = read_file(reader, "long.tiff", document.getvalue())
    assert [reading.status for _, reading in read] == ["empty"] * MOST_PAGES
    assert (last.status, last.page) == ("error", MOST_PAGES + 1)
    assert "only the first 100 pages" in str(last.error)


def test_the_examples_are_those_of_the_project() -> None:
    assert set(examples().values()) == {
        path for path in EXAMPLES.iterdir() if path.suffix in {".png", ".jpg"}
    }


# --- what is drawn ----------------------------------------------------------------------------

POINT = st.tuples(st.integers(40, canvas.WIDTH - 40), st.integers(40, canvas.HEIGHT - 40))
STROKE = st.builds(
    lambda width, points: canvas.Stroke(width=width, eraser=False, points=points),
    st.integers(4, 48),
    st.lists(POINT, min_size=1, max_size=8),
)


@given(st.lists(STROKE, max_size=4))
def test_strokes_leave_ink_where_the_pen_was_and_an_eraser_takes_it(
    strokes: list[canvas.Stroke],
) -> None:
    page = drawing.picture_of(strokes)
    points = np.array([p for stroke in strokes for p in stroke["points"]], int).reshape(-1, 2)
    assert page.shape == (canvas.HEIGHT // drawing.COARSE, canvas.WIDTH // drawing.COARSE)
    columns, rows = (points // drawing.COARSE).T
    assert (page[rows, columns] < drawing.PAPER).all()
    assert (len(points) > 0) == (page < drawing.PAPER).any()
    inked = drawing.COARSE * np.argwhere(page < drawing.PAPER)[:, ::-1]  # [n, 2], x and y
    reach = 30  # half of the widest pen, its soft edge and a coarse pixel
    if len(points):
        assert (points.min(axis=0) - reach <= inked).all()
        assert (inked <= points.max(axis=0) + reach).all()
    wiped = [
        canvas.Stroke(width=stroke["width"] + 8, eraser=True, points=stroke["points"])
        for stroke in strokes
    ]
    assert (drawing.picture_of([*strokes, *wiped]) == drawing.PAPER).all()


def test_every_probability_has_its_bar(reader: Reader) -> None:
    (digit,) = reader.read(EXAMPLES / "felt_pen.png").digits
    whole, half = (np.full(10, share, np.float32) for share in (0.1, 0.05))
    for probabilities, rest in ((whole, []), (half, ["no digit"])):
        seen = replace(digit, probabilities=probabilities)
        bars = markup.bars(seen, reader.labels)
        cells = Cells(bars).texts
        assert cells[::2] == [*reader.labels, *rest]
        shares = [float(cell.removesuffix("%")) / 100 for cell in cells[1::2]]
        assert shares[:10] == pytest.approx(seen.probabilities.tolist(), abs=0.0011)
        assert sum(shares) == pytest.approx(1, abs=0.02)


class Cells(HTMLParser):
    """The texts of a table's cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_labels_are_text_and_never_markup(reader: Reader) -> None:
    (digit,) = reader.read(EXAMPLES / "felt_pen.png").digits
    label = "<b>"
    strange = replace(
        digit, label=label, probabilities=digit.probabilities[:1], top3=((label, 0.9),)
    )
    drawn = (
        markup.bars(strange, [label]),
        number([label]),
        markup.confusion([[1]], [label]),
    )
    assert label not in "".join(drawn)


def test_boxes_have_the_colours_that_the_captions_name(reader: Reader) -> None:
    sheet = np.full((60, 240, 3), 255, np.uint8)
    for x, text in ((20, "W"), (120, "7")):
        cv2.putText(sheet, text, (x, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    page = Page(sheet, "a letter and a digit")
    steps = steps_of(page, reader.read_page(page))
    drawn = steps["characters"][(steps["characters"] != sheet).any(axis=2)]  # [N, 3]
    assert set(drawn.argmax(axis=1)) == {1, 2}  # green, and blue


def test_the_steps_are_the_page_s_own(reader: Reader) -> None:
    page = Page(np.asarray(Image.open(EXAMPLES / "postcode.png").convert("L")), "postcode")
    reading = reader.read_page(page)
    steps = steps_of(page, reading)
    assert list(steps) == ["page", "ink", "characters", "glyphs", "reading"]
    assert all(step.dtype == np.uint8 and step.shape[2] == 3 for step in steps.values())
    np.testing.assert_array_equal(steps["page"][..., 0], page.pixels)
    first = steps["glyphs"][:56:2, :56:2, 0]
    np.testing.assert_array_equal(first, reading.digits[0].glyph)
    blank = np.full((60, 90), 255, np.uint8)
    empty = steps_of(Page(blank, "blank"), reader.read(blank))
    assert (empty["ink"] == 255).all()
    assert (empty["glyphs"] == 0).all()


# --- what is shown ----------------------------------------------------------------------------


def test_an_example_is_read_and_its_steps_can_be_opened(shown: Shown) -> None:
    app = shown("Examples")
    app.button_group(key="example").set_value("postcode").run()
    assert not app.exception
    assert "<div>90210</div>" in html_of(app)
    assert 'class="explanation"' in html_of(app)
    digits = app.button_group(key="examples-digit-90210")
    assert digits.options == list("90210")
    app.session_state["examples-steps"] = True
    app.run()
    assert len(app.get("image")) == 6  # the page with its boxes, and five steps


def test_a_right_answer_lands_in_its_folder_and_the_history(shown: Shown, tmp_path: Path) -> None:
    app = shown("Examples", "--corrections", "wrong")
    app.button_group(key="example").set_value("felt pen").run()
    (answers,) = (group for group in app.button_group if "right" in str(group.key))
    answers.set_value("no digit").run()
    assert len(list((tmp_path / "wrong" / NO_DIGIT).iterdir())) == 1
    answers.set_value("1").run()
    answers.run()  # and once more: nothing is lost, nothing is doubled
    assert [path.parent.name for path in tmp_path.rglob("*.png")] == ["1"]
    app.session_state["room"] = "History"
    app.run()
    assert not app.exception
    assert "1 × 1" in app.markdown[-1].value
    assert "folder:wrong" in app.code[0].value
    assert app.dataframe[0].value["text"].tolist() == ["314159\n2026 11 21\n8067", "7"]


def test_the_command_to_learn_goes_on_with_the_model_that_is_chosen(
    shown: Shown, tmp_path: Path
) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "model.onnx").write_bytes(shipped_model(SHIPPED).read_bytes())
    folder = tmp_path / "my corrections"
    Corrections(folder).keep(np.eye(28, dtype=np.uint8), "1")

    def told() -> AppTest:
        app = shown("Examples", "--model", "my run/model.onnx", "--corrections", "my corrections")
        app.session_state["room"] = "History"
        return app.run()

    app = told()
    assert not app.code
    assert "best.keras" in app.markdown[-1].value
    (run / "best.keras").touch()
    (code,) = told().code
    assert code.value == "digitreader train --from 'my run' --dataset 'folder:my corrections'"


def test_a_model_with_maps_is_explained_and_its_results_shown(shown: Shown, trained: Path) -> None:
    app = shown("Examples", "--model", str(trained / "model.onnx"))
    assert not app.exception
    assert 'class="explanation"' in html_of(app)
    app.session_state["room"] = "Model"
    app.run()
    metrics = json.loads((trained / "metrics.json").read_text())["test"]
    assert f"{metrics['errors']} errors in {metrics['n']}" in app.markdown[-2].value
    assert 'class="confusion"' in html_of(app)


def test_a_model_that_is_none_is_told_in_a_line(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no model")
    app = shown("Draw", "--model", "other.onnx")
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith("other.onnx is not a readable ONNX model")
    stroke = {"width": 16, "eraser": False, "points": [[120, 60], [160, 270]]}
    app.session_state[canvas.KEY] = {"drawing": {"version": 1, "strokes": [stroke]}}
    app.run()
    assert not app.exception
    assert [error.value] == [told.value for told in app.error]


def test_a_visitor_names_no_model(shown: Shown, tmp_path: Path) -> None:
    """A browser can send any text; the model has no maps, and the one that ships has."""
    from digitreader.training import export, networks

    path = str(tmp_path / "model.onnx")
    card = ModelCard("m", tuple("0123456789"), 1.0, 0.5)
    export.write_onnx(networks.build("lenet-5", 10), Path(path), card)
    app = shown("Examples")
    models = app.selectbox(key="model")
    assert models.options == [front.NAMED]
    models.options.append(path)  # what the browser knows
    models.set_value(path).run()
    assert not app.exception
    app.button_group(key="example").set_value("postcode").run()
    assert 'class="explanation"' in html_of(app)
    app = shown("Examples", "--model", path)
    assert app.selectbox(key="model").options == [front.NAMED, path]
    app.button_group(key="example").set_value("postcode").run()
    assert 'class="explanation"' not in html_of(app)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent differently there")
def test_ctrl_c_ends_the_page_as_any_command(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "digitreader", "page", "--no-browser", f"--port={port}"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(str(port) in line for line in process.stdout)  # it listens
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED


def test_the_shipped_model_s_results_are_those_measured() -> None:
    """`digitreader evaluate -o src/digitreader/models/digits.json` makes them."""
    scores = scores_of(None)
    assert scores is not None
    results = json.loads((ROOT / "benchmarks" / "results" / "reading.json").read_text())
    measured = results["sets"]["mnist test, classify"]
    right = int(np.trace(scores["confusion"]))
    assert (right, scores["n"]) == (measured["right"], measured["n"])


def test_without_streamlit_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "streamlit.web.cli", None)
    assert run(["app"]) == 3  # another name of `digitreader page`
    assert "pip install 'digitreader[page]'" in capsys.readouterr().err


def test_the_page_is_served_alike_whichever_way_it_is_started() -> None:
    here, package = (folder / ".streamlit" / "config.toml" for folder in (ROOT, PAGE))
    assert here.read_text() == package.read_text()
    settings = tomllib.loads(here.read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["browser"]["gatherUsageStats"] is False
    style = (PAGE / "page.css").read_text()
    colours = [settings["theme"][scheme]["primaryColor"] for scheme in ("light", "dark")]
    assert f"light-dark({', '.join(colours)})" in style


def test_the_sheet_is_shown_without_pandas() -> None:
    """Half a second of its import would pass before the page is there."""
    look = (
        "import sys; from streamlit.testing.v1 import AppTest; "
        "AppTest.from_file(sys.argv.pop()).run(timeout=60); print('pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", look, str(ROOT / "app.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


def test_what_a_visitor_sees_first_imports_nothing_that_reads() -> None:
    """The sheet is there half a second before ONNX Runtime."""
    look = "import sys, digitreader.doors.page.app; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert not {"numpy", "cv2", "PIL", "onnxruntime", "pandas"} & set(done.stdout.split())
