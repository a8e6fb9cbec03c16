"""The page of how accurate the networks are: what was measured of recipes, networks, backends."""

from __future__ import annotations

from collections.abc import Iterator

from measured import LOOK_ALIKES, RESULTS, Row, about, between, percent, result, section, table

from digitreader.training import networks

TRAINING = "seconds of the epochs' steps, without start-up, validation and saving"


def page(before: str) -> str:
    """Put what was measured between the page's marks."""
    parts: list[str] = []
    if (RESULTS / "accuracy.json").exists():
        told = result("accuracy")
        parts += recipes(told["recipes"])
        if "shipped" in told:
            parts += ["", *shipped(told["shipped"])]
        if "other seeds" in told:
            parts += ["", *other_seeds(told["other seeds"])]
        parts += ["", about(told), ""]
    told = networks.measured()
    if told["networks"]:
        parts += [*side_by_side(told), "", about(told), ""]
    if (RESULTS / "backends.json").exists():
        parts += [*backends(result("backends")), ""]
    if (RESULTS / "study.json").exists():
        told = result("study")
        parts += [*study(told["table"]), "", f"Measured by `{told['command']}`."]
    return between(before, parts)


def recipes(rows: dict[str, Row]) -> Iterator[str]:
    yield from section(
        "Recipes on MNIST's test images",
        "Means over seeds, each of which read the 10,000 test images once, at the end of a recipe "
        "that was chosen without them; ± is the standard deviation. Loss is the mean negative "
        "log-likelihood in nats of the calibrated probabilities, ECE the expected calibration "
        "error in 15 bins. Multiply-adds are those of one image; training is "
        f"{TRAINING}. Run one with `digitreader train --recipe NAME --seed N`.",
    )
    head = ("recipe", "accuracy", "±", "seeds", "loss", "ECE", "parameters", "multiply-adds",
            "model.onnx", "training")  # fmt: skip
    yield from table(head, ((name, *recipe(row)) for name, row in rows.items()))


def recipe(row: Row) -> tuple[str, ...]:
    spread = row["accuracy_sd"]
    return (
        f"{100 * row['accuracy_mean']:.3f}%",
        "–" if spread is None else f"{100 * spread:.3f}",
        str(row["seeds"]),
        f"{row['loss_mean']:.4f}",
        percent(row["ece_mean"]),
        f"{row['parameters']:,}",
        f"{row['multiply_adds'] / 1e6:.2f} M",
        f"{row['bytes'] / 1e6:.2f} MB",
        f"{row['seconds_mean']:,.0f} s on {' and '.join(row['machines'])}",
    )


def shipped(told: Row) -> Iterator[str]:
    test, disputed = told["test"], told["disputed"]
    indices = ", ".join(str(i) for i in disputed["indices"])
    yield from section(
        "The model that ships",
        f"{percent(test['accuracy'])} of {test['n']:,} test images as they are labelled, "
        f"calibration error {percent(test['reliability']['ece'])}. Of the images {indices}, whose "
        f"labels hardly anybody agrees with, it reads {disputed['read_as_labelled']} as labelled.",
    )
    work = told["work"]
    yield (
        f"Its quick network is in doubt about {percent(work['asked'])} of them, and asks the "
        f"others: {work['mean'] / 1e6:.2f} million multiply-adds an image on average "
        f"({work['quick'] / 1e6:.2f} where it is sure, {work['most'] / 1e6:.2f} where it is "
        f"not), in a file of "
        f"{told['bytes'] / 1e6:.2f} MB."
    )
    yield from ("", "![Reliability](images/reliability.png)", "![Risk](images/risk.png)",
                "![Errors](images/errors.png)")  # fmt: skip
    yield ""
    yield (
        "Digits against what is none, of kinds that training never saw, by area under the ROC. "
        f"Photos of letters that look like digits ({LOOK_ALIKES}), more than a quarter of all, are "
        "left out:"
    )
    yield ""
    yield from table(
        ("glyphs", "n", "by all digits' probability", "by the greatest"),
        ((name, f"{row['n']:,}", f"{row['auroc_sum']:.4f}", f"{row['auroc_greatest']:.4f}")
         for name, row in told["not_a_digit"].items()))  # fmt: skip
    yield ""
    yield "The signs of other alphabets that it is surest are digits; many are written alike:"
    yield ""
    yield "![Signs of other alphabets](images/signs.png)"
    yield ""
    yield f"Test images harmed in fifteen ways: {percent(told['harmed']['mean'])} on average."
    yield ""
    rows = told["harmed"]["accuracy"]
    yield from table(("harm", "accuracy"), ((name, percent(rows[name])) for name in rows))


def other_seeds(told: Row) -> Iterator[str]:
    rows = told["rows"]
    yield from section(
        "The same model with other seeds",
        f"Its three networks trained anew, and joined by the same commands: {len(rows)} seeds, the "
        f"first of which ships. {100 * told['accuracy_mean']:.3f}% ± "
        f"{100 * told['accuracy_sd']:.3f} of the test images.",
    )
    head = ("seed", "accuracy", "loss", "ECE", "multiply-adds", "harmed in fifteen ways",
            "AUROC of alphabets", "of letters")  # fmt: skip
    means = {name.removesuffix("_mean"): value for name, value in told.items()} | {"seed": "mean"}
    yield from table(head, (
        (str(row["seed"]), percent(row["accuracy"]), f"{row['loss']:.4f}", percent(row["ece"]),
         f"{row['multiply_adds'] / 1e6:.2f} M", percent(row["harmed"]),
         f"{row['glyphs of alphabets']:.4f}", f"{row['letter photos']:.4f}")
        for row in (*rows, means)))  # fmt: skip


def side_by_side(told: Row) -> Iterator[str]:
    yield from section(
        "Networks side by side",
        "Every network under the default recipe, and those of the starting projects under their "
        "own as well, with all cores to itself: means over seeds, ± their standard deviation, of "
        f"accuracies on the 10,000 test images; {TRAINING}.",
    )
    head = ("network", "parameters", "multiply-adds", "seeds", "default recipe", "training",
            "its own recipe", "training")  # fmt: skip
    yield from table(head, (
        (name, f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e6:.1f} M", str(row["seeds"]),
         *of_seeds(row), *of_seeds(told["own_recipe"].get(name)))
        for name, row in told["networks"].items()))  # fmt: skip


def of_seeds(row: Row | None) -> tuple[str, str]:
    if row is None:
        return ("–", "–")
    return (networks.accuracy_of(row), f"{row['seconds_mean']:,.0f} s")


def backends(told: Row) -> Iterator[str]:
    rows = told["backends"]
    yield from section(
        "Keras's backends",
        f"The recipe `{told['recipe']}` by one command on each, with all cores: accuracies on the "
        f"10,000 test images; {TRAINING}. What is traced and compiled at the first step counts.",
    )
    head = ("backend, computing in", "version", "seeds", "accuracy", "training")
    yield from table(head, (
        (name, row["version"], str(row["seeds"]), *of_seeds(row)) for name, row in rows.items()
    ))  # fmt: skip
    yield ""
    yield from dict.fromkeys(about(row) for row in rows.values())  # one, or several


def study(rows: dict[str, Row]) -> Iterator[str]:
    yield from section(
        "What was tried",
        "Errors on 5,000 training images held out, and the loss after calibration; means over "
        "folds. Views are nine: the image and it moved by a pixel. Bent are the same images, "
        f"each in four ways: 20,000. Training is {TRAINING}; of the quickest fold, for some shared "
        "their core with other work.",
    )
    head = ("variant", "folds", "errors", "by views", "bent", "loss", "parameters", "training")
    yield from table(head, (
        (name, str(row["folds"]), f"{row['errors']:.1f}", f"{row['views']:.1f}",
         f"{row['bent_errors']:.0f}",
         f"{row['calibrated']:.4f}", f"{row['parameters']:,}",
         f"{row['seconds']:,.0f} s on {row['processor']}")
        for name, row in rows.items()))  # fmt: skip
