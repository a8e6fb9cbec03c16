"""Writes what documentation takes from elsewhere: `make docs`.

`docs/commands.md` comes from the program's own help; the numbers in `README.md`, in the shipped
model's card, in `docs/measured.md`, in `docs/accuracy.md` and in `docs/speed.md` come from the
files in `benchmarks/results`. `--check` fails when a page is not what this script would write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from accurate import page as accurate
from fast import page as fast
from measured import between, percent, result, shares, table
from measured import page as measured

from digitreader.classifier import Classifier
from digitreader.doors.cli import cli

ROOT = Path(__file__).parent.parent
WIDTH = 96
PARTS = ("quick", "thorough", "plain")  # networks of the shipped model


def commands(page: str) -> str:
    """Return the command reference."""
    del page
    parts = ["# Commands", "", "Made by `make docs` from the program's own help.", ""]
    for name, command, context in every(cli, "digitreader", None):
        parts += [f"## {name}", "", "```text", command.get_help(context).strip(), "```", ""]
    return "\n".join(parts)


def every(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield a command and those below it, in the order of the help."""
    own = name.rsplit(maxsplit=1)[-1]
    context = command.make_context(
        own, [], parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield name, command, context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from every(found, f"{name} {below}", context)


def readme(page: str) -> str:
    """Put the measured numbers between the README's marks."""
    return between(page, [*training_numbers(), "", *reading_numbers(), "", *speed_numbers()])


def card(page: str) -> str:
    """Put the model's numbers between the card's marks."""
    trained = Classifier.open().card.trained
    seeds = result("accuracy")["other seeds"]
    return between(
        page,
        [
            *(line for part in PARTS for line in training(part, trained[part])),
            f"- Believed without asking from {trained['cascade']['sure']} on; asked about "
            f"{percent(trained['cascade']['asked'])} of the held-out images.",
            f"- Held-out MNIST training images: {percent(trained['validation']['accuracy'])} of "
            f"{trained['validation']['n']:,}.",
            f"- MNIST test images: {percent(seeds['rows'][0]['accuracy'])}; trained anew with "
            f"other seeds, {percent(seeds['accuracy_mean'])} ± {100 * seeds['accuracy_sd']:.2f} "
            f"(mean of {seeds['seeds']}).",
            "",
            *reading_numbers(),
        ],
    )


def training(part: str, told: Any) -> Iterator[str]:
    """Tell how one of the shipped model's networks was trained."""
    recipe = ", ".join(f"{knob} {value}" for knob, value in told["recipe"].items() if value != "")
    yield f"- The {part} network's recipe: {recipe}."
    yield (
        f"  Epochs run {told['epochs_run']}, best epoch {told['best_epoch']}, "
        f"{told['seconds']:.0f} s of training; alone {percent(told['validation']['accuracy'])} of "
        f"{told['validation']['n']:,} held-out images."
    )


def training_numbers() -> list[str]:
    results = result("training")
    ours, peer = results["default"], results["double-conv"]
    seeds = len(ours["runs"])
    reached = max(epoch["accuracy"] for epoch in peer["epochs"])
    passed = peer["seconds_to_bar"]
    peer_seconds = passed or peer["epochs"][-1]["seconds"]
    verdict = "first passed" if passed else "did not pass"
    return [
        f"**`digitreader train`**: {percent(ours['accuracy_mean'])} of the "
        f"{ours['runs'][0]['n']:,} MNIST test images (mean of {seeds} seeds, standard deviation "
        f"{100 * ours['accuracy_sd']:.2f}), in {ours['seconds_max']:.0f} s of training at most. In "
        f"the same run the best of the starting networks, under its own recipe, {verdict} "
        f"{100 * peer['bar']:.1f}% after {peer_seconds:.0f} s ({percent(reached)}). "
        f"{machine(results)}",
    ]


def reading_numbers() -> list[str]:
    results = result("reading")
    rows = dict(results["sets"])
    if "synthetic" in results:
        rows["synthetic pages, lines"] = results["synthetic"]["lines"]
    head = ("pictures read with the shipped model", "right", "of", "95% interval")
    return list(table(head, ((name, *shares(row)) for name, row in rows.items())))


def speed_numbers() -> list[str]:
    results = result("speed")
    one, cold = results["one glyph in process, ms"], results["one picture, cold"]
    ours, keras = cold["digitreader"], cold["keras"]
    quick, slow = ours["seconds_median"], keras["seconds_median"]
    small, large = ours["peak_mb_median"], keras["peak_mb_median"]
    return [
        f"**Speed**: one glyph takes {one['digitreader']:.2f} ms in process, Keras's `predict` on "
        f"the same network {one['keras predict']:.0f} ms. `digitreader read` from a cold start "
        f"takes {quick:.2f} s and {small:.0f} MB, a script that loads the model in Keras and "
        f"predicts {slow:.1f} s and {large:.0f} MB (medians of {cold['runs']}). "
        f"{machine(results)}",
    ]


def machine(results: Any) -> str:
    told = results["machine"]
    return f"Machine: {told['processor']}, {told['cores']} cores; `{results['command']}`."


PAGES: dict[Path, Callable[[str], str]] = {
    ROOT / "docs" / "commands.md": commands,
    ROOT / "docs" / "measured.md": measured,
    ROOT / "docs" / "accuracy.md": accurate,
    ROOT / "docs" / "speed.md": fast,
    ROOT / "README.md": readme,
    ROOT / "src" / "digitreader" / "models" / "README.md": card,
}


def main() -> None:
    """Write the pages; with --check, say which are not up to date instead."""
    stale = []
    for path, made in PAGES.items():
        before = path.read_text("utf-8") if path.exists() else ""
        after = made(before)
        if after != before:
            stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(after, "utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"not up to date: {', '.join(stale)}; run: make docs")


if __name__ == "__main__":
    main()
