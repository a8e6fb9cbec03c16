"""A model's results on one page: numbers, plots, and every digit read wrong, and why.

`report.html` holds everything and needs no other file. Its pieces lie beside it: `scores.json`,
`classes.csv`, `predictions.csv`, `confusion.png`, `reliability.png`, `risk.png`, `errors.png` and
`samples.png`; `augmented.png` where the model says how training varied the images, and
`curves.png` where it lies in a run's folder.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from digitreader.classifier import Classifier
from digitreader.errors import ModelError
from digitreader.explain import explanation, overlay
from digitreader.glyphs import SIDE
from digitreader.outputs import write_csv_file, write_json_file
from digitreader.reading import percent
from digitreader.training import plots
from digitreader.training.evaluate import Predictions
from digitreader.training.metrics import Scores, selective
from digitreader.training.show import sample_grid, varied_grid
from digitreader.training.warps import WARPS
from digitreader.writing import make_folder, whole

LISTED = 100  # digits read wrong that are shown, the surest first
LIKELIEST = 3  # classes whose activation maps are drawn
COLUMNS = 2  # of digits in errors.png
SAMPLES = (8, 12)  # rows and columns
TITLES = {"samples": "as they are", "augmented": "as training varied them"}


def write_report(told: Predictions, model: Path | None, dataset: str, folder: Path) -> Path:
    """Write the page about what a model told of a dataset, and its pieces; return the page.

    `model` is the file that was asked; None is the model that ships.
    """
    make_folder(folder)
    for name in ("augmented", "errors"):
        (folder / f"{name}.png").unlink(missing_ok=True)  # of a report before, and not of every one
    scores, subject = told.scores, _subject(model)
    rows = selective(told.probabilities, told.split.targets)
    write_json_file(scores.as_dict() | {"selective": rows}, folder / "scores.json")
    write_csv_file(scores.per_class, folder / "classes.csv")
    write_csv_file(_predictions(told), folder / "predictions.csv")
    paths = _draw(told, scores, subject, folder)
    drawn = {name: _embedded(path.read_bytes(), name) for name, path in paths.items()}
    shown = [name for name in TITLES if name in drawn]
    parts = {
        "title": escape(f"{subject.name} on {dataset}"),
        "key": _key(scores),
        "classes": _table(scores.per_class, CLASS_COLUMNS),
        "selective": _table(rows, SELECTIVE_COLUMNS),
        "about_errors": escape(_about_errors(scores, subject)),
        "errors": _errors(told, subject, folder),
        "images": "".join(f"<div><p>{TITLES[name]}</p>{drawn[name]}</div>" for name in shown),
        "curves": f"<h2>Training</h2>{drawn['curves']}" if "curves" in drawn else "",
        "facts": _facts(subject.facts),
        **{name: drawn[name] for name in ("confusion", "reliability", "risk")},
    }
    template = files("digitreader.training").joinpath("report.html").read_text(encoding="utf-8")
    page = folder / "report.html"
    with whole(page) as draft:
        draft.write_text(Template(template).substitute(parts), encoding="utf-8")
    return page


# ---------------------------------------------------------------- what is told of the model


@dataclass(frozen=True, eq=False)
class _Subject:
    """What a model file says of itself, and who explains its readings, or why nobody does."""

    name: str
    facts: dict[str, object]
    augment: str | None = None
    curves: Path | None = None
    explainer: Classifier | None = None
    unexplained: str = ""


def _subject(model: Path | None) -> _Subject:
    curves = model.parent / "curves.png" if model else None
    curves = curves if curves and curves.exists() else None
    if model is not None and model.suffix != ".onnx":
        why = "only an .onnx model tells"
        return _Subject(model.name, {"file": model}, curves=curves, unexplained=why)
    classifier = Classifier.open(model)
    card, why = classifier.card, _unexplained(classifier)
    recipe = card.trained.get("recipe", {})
    facts = {
        "file": model or "the model that ships",
        "temperature": f"{card.temperature:.3f}",
        "unsure below": percent(card.unsure_below),
        **{name: value for name, value in card.trained.items() if not isinstance(value, dict)},
        "recipe": ", ".join(f"{knob} {value}" for knob, value in recipe.items() if value),
    }
    explainer = None if why else classifier
    return _Subject(card.name, facts, recipe.get("augment"), curves, explainer, why)


def _unexplained(classifier: Classifier) -> str:
    """Say why a model has no activation maps; nothing where it has them."""
    try:
        classifier.maps(np.empty((0, SIDE, SIDE), np.uint8))
    except ModelError as error:
        return str(error)
    return ""


def _facts(facts: Mapping[str, object]) -> str:
    """Rows of a table with a name and a value each."""
    rows = ((escape(name.replace("_", " ")), escape(str(value))) for name, value in facts.items())
    return "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)


# ---------------------------------------------------------------- pieces beside the page


def _draw(told: Predictions, scores: Scores, subject: _Subject, folder: Path) -> dict[str, Path]:
    """Draw all pictures but those of the errors; return where each is."""
    paths = {name: folder / f"{name}.png" for name in ("confusion", "reliability", "risk")}
    plots.confusion(scores, paths["confusion"])
    plots.reliability(scores, paths["reliability"])
    plots.risk(told.probabilities, told.split.targets, paths["risk"])
    samples = (told.split, told.labels, *SAMPLES, 0)
    pictures = {"samples": sample_grid(*samples)}
    if subject.augment in WARPS:
        pictures["augmented"] = varied_grid(*samples, WARPS[subject.augment])
    for name, picture in pictures.items():
        paths[name] = _saved(picture, folder / f"{name}.png")
    if subject.curves:
        paths["curves"] = folder / "curves.png"
        with whole(paths["curves"]) as draft:
            draft.write_bytes(subject.curves.read_bytes())
    return paths


def _predictions(told: Predictions) -> list[dict[str, Any]]:
    """A row for each image, with all its probabilities."""
    names = [f"p_{label}" for label in told.labels]
    rows = zip(told.split.targets, told.probabilities, strict=True)
    return [
        {
            "index": i,
            "label": told.labels[target],
            "predicted": told.labels[said.argmax()],
            "confidence": f"{said.max():.6f}",
            **{name: f"{p:.6f}" for name, p in zip(names, said, strict=True)},
        }
        for i, (target, said) in enumerate(rows)
    ]


def _saved(picture: Image.Image, path: Path) -> Path:
    with whole(path) as draft:
        picture.save(draft, "png")
    return path


# ---------------------------------------------------------------- what was read wrong


def _about_errors(scores: Scores, subject: _Subject) -> str:
    about = f"{scores.errors:,} of {scores.n:,} images"
    if scores.errors > LISTED:
        about += f"; the {LISTED} that were read most surely are shown, predictions.csv has all"
    if subject.unexplained:
        return f"{about}. Where the evidence lies is not drawn: {subject.unexplained}."
    return (
        f"{about}. Beside each: where on the image evidence lies for the classes that were "
        "likeliest (a class-activation map; the redder, the more)."
    )


def _errors(told: Predictions, subject: _Subject, folder: Path) -> str:
    """Draw the digits read wrong, the surest first, to errors.png; return them for the page."""
    said = told.probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != told.split.targets)
    order = np.argsort(-told.probabilities[wrong].max(axis=1), kind="stable")[:LISTED]
    rows = wrong[order].tolist()
    if not rows:
        return ""
    pictures = [_explained(told, i, subject.explainer) for i in rows]
    _saved(_sheet(pictures), folder / "errors.png")
    return "".join(_figure(told, i, picture) for i, picture in zip(rows, pictures, strict=True))


def _explained(told: Predictions, i: int, explainer: Classifier | None) -> Image.Image:
    """Draw an image, and evidence for its likeliest classes where there is an explainer."""
    image, said = told.split.images[i], told.probabilities[i]
    if explainer is None:
        return Image.fromarray(overlay(image, np.zeros((SIDE, SIDE), np.float32)))
    order = np.argsort(-said, kind="stable")[:LIKELIEST]
    return explanation(explainer, image, [(told.labels[c], float(said[c])) for c in order])


def _sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size in columns."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % COLUMNS * width, place // COLUMNS * height))
    return sheet.quantize()  # a third of the bytes


def _figure(told: Predictions, i: int, picture: Image.Image) -> str:
    """One digit read wrong: what it was taken for, its picture, and all its probabilities."""
    probabilities, target = told.probabilities[i], told.split.targets[i]
    said = probabilities.argmax()
    kinds = {said: "said", target: "true"}
    bars = "".join(
        f'<span class="{kinds.get(c, "")}" title="{escape(label)}: {percent(p)}">'
        f'<i style="--p:{p:.3f}"></i>{escape(label)}</span>'
        for c, (label, p) in enumerate(zip(told.labels, probabilities, strict=True))
    )
    label, read = escape(told.labels[target]), escape(told.labels[said])
    return (
        f'<figure><p>Image {i}: <span class="true"><b>{label}</b></span> read as '
        f'<span class="said"><b>{read}</b></span>, {percent(probabilities[said])}</p>'
        f'{_embedded(_small(picture), f"image {i}")}<div class="bars">{bars}</div></figure>'
    )


# ---------------------------------------------------------------- parts of the page


def _key(scores: Scores) -> str:
    """The numbers that matter most, large."""
    low, high = (100 * bound for bound in scores.interval)
    numbers = {
        f"{100 * scores.accuracy:.2f}%": f"accuracy, 95% interval {low:.2f}–{high:.2f}",
        f"{scores.errors:,} of {scores.n:,}": "read wrong",
        f"{scores.loss:.4f}": f"loss ± {scores.loss_margin:.4f}",
        f"{100 * scores.reliability.error:.2f}%": "expected calibration error",
    }
    return "".join(f"<div><b>{n}</b><span>{what}</span></div>" for n, what in numbers.items())


def _table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, tuple[str, str]]) -> str:
    """Rows as HTML, with a heading and a format for each column."""
    head = "".join(f"<th>{heading}</th>" for heading, _ in columns.values())
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(form.format(row[key]))}</td>" for key, (_, form) in columns.items())
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _small(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.quantize(128).save(content, "png", optimize=True)
    return content.getvalue()


def _embedded(png: bytes, about: str) -> str:
    """A picture that the page carries itself."""
    content = base64.b64encode(png).decode("ascii")
    return f'<img alt="{about}" src="data:image/png;base64,{content}">'


CLASS_COLUMNS = {
    "label": ("class", "{}"),
    "precision": ("precision", "{:.2%}"),
    "recall": ("recall", "{:.2%}"),
    "f1": ("F1", "{:.2%}"),
    "n": ("n", "{:,}"),
}
SELECTIVE_COLUMNS = {
    "coverage": ("answered", "{:.0%}"),
    "confidence": ("at least so sure", "{:.2%}"),
    "errors": ("read wrong", "{:,}"),
    "risk": ("of these", "{:.2%}"),
}
