"""The page of everything that was measured about reading, from the files in `benchmarks/results`.

A part that was not measured yet has no section.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from digitreader.classifier import shipped_model

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
LOOK_ALIKES = "O o D Q l I i Z z S s B b g q"  # that `benchmarks/nothing.py` leaves out
Row = dict[str, Any]


def page(before: str) -> str:
    """Return the whole page."""
    del before
    reading = result("reading")
    made = (
        "Made by `make docs` from the files in `benchmarks/results`. Intervals are 95%. Lines of "
        "one page stand or fall together, so theirs come from resampling pages, where there are "
        "ten or more and not all are alike."
    )
    lines = ["# How well pictures are read", "", made]
    for part, section in SECTIONS.items():
        if part in reading:
            lines += ["", *section(reading[part])]
    lines += ["", about(reading)]
    for name, whole in FILES.items():
        if (RESULTS / f"{name}.json").exists():
            told = result(name)
            lines += ["", *whole(told), "", about(told)]
    return "\n".join(lines) + "\n"


def between(text: str, lines: list[str]) -> str:
    """Replace what stands between a page's two marks."""
    start, end = "<!-- numbers: made by `make docs` -->", "<!-- end of numbers -->"
    block = "\n".join([start, "", *lines, "", end])
    return re.sub(f"{re.escape(start)}.*?{re.escape(end)}", lambda _: block, text, flags=re.S)


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def section(title: str, words: str) -> Iterator[str]:
    """Begin a part of a page: what its numbers are, in words, comes before them."""
    yield from (f"## {title}", "", words, "")


def about(told: Row) -> str:
    """Return where a result comes from, and which of its models no longer ship."""
    known = told.get("models", {}).items()
    earlier = [f"`{name}.onnx`" for name, digest in known if not ships(name, digest)]
    of = f", with an earlier {' and an earlier '.join(earlier)} than ships now" if earlier else ""
    machine = told.get("machine")
    on = f" Machine: {machine['processor']}, {machine['cores']} cores." if machine else ""
    return f"Measured by `{told['command']}`{of}.{on}"


def ships(name: str, digest: str) -> bool:
    """Whether the model of that name still is the file whose SHA-256 begins so."""
    return sha256(shipped_model(name).read_bytes()).hexdigest().startswith(digest)


# --- parts of reading.json ----------------------------------------------------------------------


def sets(rows: dict[str, Row]) -> Iterator[str]:
    yield from section(
        "Real pictures",
        "The sets besides MNIST are handwriting of other people, never trained on, but they were "
        "looked at to choose how training digits are bent and how much the finder and the "
        "classifier count, so other pictures may be read a little worse.",
    )
    yield from table(("pictures", "right", "of", "interval"),
                     ((name, *shares(row)) for name, row in rows.items()))  # fmt: skip


def synthetic(told: Row) -> Iterator[str]:
    yield from section(
        "Synthetic pages",
        "Pages written by people, and printed in fonts, that no model was trained on. A line is "
        "right when all its digits are, whatever its spaces; lines read beyond those of the page "
        "count as errors. A digit is right when its box overlaps the true one by half and its "
        "label is the true one.",
    )
    head = ("pages", "number", "lines right", "of", "interval", "digits' F1", "interval",
            "boxes' F1")  # fmt: skip
    rows = {"all": told, **told["kinds"]}
    yield from table(head, (pages_cells(name, row) for name, row in rows.items()))


def pages_cells(name: str, row: Row) -> tuple[str, ...]:
    lines, digits = row["lines"], row["digits"]
    return (name, f"{row['pages']:,}", *shares(lines), percent(digits["f1"]),
            interval(digits["f1_95_by_page"]), percent(digits["found_f1"]))  # fmt: skip


def invented(told: dict[str, Row]) -> Iterator[str]:
    yield from section(
        "Digits that are none",
        "Pictures without a digit. Each that is read is made up, whether called ok or unsure. "
        f"Letters that look like digits ({LOOK_ALIKES}) are not among them.",
    )
    head = ("pictures", "number", "digits a picture", "called ok", "pictures with any", "interval")
    rows = [(name, row) for top, all_ in told.items()
            for name, row in ((f"**{top}**", all_), *all_["kinds"].items())]  # fmt: skip
    yield from table(head, (invented_cells(name, row) for name, row in rows))


def invented_cells(name: str, row: Row) -> tuple[str, ...]:
    any_ = row["pictures_with_any"]
    return (name, f"{row['n']:,}", f"{row['digits_per_picture']:.3f}",
            f"{row['ok_digits_per_picture']:.3f}", f"{any_['right']}",
            interval(any_["accuracy_95"]))  # fmt: skip


def photo(told: Row) -> Iterator[str]:
    yield from ("## A large photo", "")
    low, high = told["seconds_min_max"]
    digits, lines = told["digits"], told["lines"]
    yield (
        f"{told['picture']}, {digits['truth']} digits: {told['seconds_median']:.2f} s from file to "
        f"reading in a process that runs already (median of {told['runs']}, {low:.2f}–{high:.2f}), "
        f"{told['peak_mb']:.0f} MB at most. {digits['right']} digits right in their places, "
        f"{digits['found']} read; {lines['right']} of {lines['truth']} lines."
    )


# --- other files --------------------------------------------------------------------------------


def peers(told: Row) -> Iterator[str]:
    versions = [" ".join(pair) for peer in told["peers"].values()
                for pair in peer.get("versions", {}).items()]  # fmt: skip
    yield from section(
        "Beside other readers",
        f"A sample of at most {told['most']} pictures of each set ({told['most_pages']} where they "
        f"are pages), the same for all ({', '.join(versions)}). Each of the others is called in "
        "several ways, and in each set the way that did best there is shown; what they are can be "
        "read in `benchmarks/peers.py`. Single digits: pictures right. Pages: lines right. "
        "Pictures without digits: digits made up in each.",
    )
    readers = list(next(iter(told["sets"].values())))
    rows = (
        (name, str(row[readers[0]]["pictures"]), *(row[reader]["summary"] for reader in readers))
        for name, row in told["sets"].items()
    )
    yield from table(("pictures", "n", *readers), rows)


def ink(told: Row) -> Iterator[str]:
    yield from section(
        "Ways to find the ink",
        "F-measure of pixels on synthetic pages whose ink is known, by the value from which the "
        "answer counts as ink, and what is read with each when all else stays as it is: "
        "pictures of single digits, and lines of pages. The synthetic pages are held-out ones, the "
        "rest are real pictures as above.",
    )
    stages = list(told["pixels"])
    cuts, names = list(told["pixels"][stages[0]]), list(told["read"][stages[0]])
    yield from table(("ink", *(f"F, {cut}" for cut in cuts), *names), (
        (stage, *(f"{100 * told['pixels'][stage][cut]['f']:.1f}" for cut in cuts),
         *("{right}/{n}".format(**told["read"][stage][name]) for name in names))
        for stage in stages))  # fmt: skip


SECTIONS: dict[str, Callable[[Any], Iterable[str]]] = {
    "sets": sets,
    "synthetic": synthetic,
    "invented": invented,
    "photo": photo,
}


def service(told: Row) -> Iterator[str]:
    over, end = told["overload"], told["SIGTERM"]
    memory, later = over["memory_mb"], over["5 s later"]
    yield from section(
        "The service",
        f"{told['workers']} workers, and the load generator on the same cores; {told['seconds']} s "
        f"each, the overload {told['overload_seconds']} s. Read are those answered by 200; times "
        "are those of all answers, refusals included.",
    )
    head = ("sent", "read a second", "read of those answered", "p50", "p99")
    rows = [
        (f"{name}, {how}", *service_cells(row))
        for name in ("MNIST form", "28×28")
        for how, row in told[name].items()
    ]
    sent = sum((over["statuses"] | over["errors"]).values()) / told["overload_seconds"]
    flood = f"MNIST form, {sent:,.0f} a second, from 200 connections"
    rows += [(flood, *service_cells(over)), ("5 s later", *service_cells(later))]
    yield from table(head, rows)
    yield ""
    refused = ", ".join(f"{n:,} by {code}" for code, n in over["statuses"].items() if code != "200")
    yield (
        f"Refused in the overload were {refused or 'none'}, and memory went from "
        f"{memory['first']:.0f} to {memory['last']:.0f} MB ({memory['least']:.0f} to "
        f"{memory['most']:.0f}). Of {end['taken']:,} requests taken before SIGTERM ended the "
        f"service under load, {end['lost']} had no answer."
    )


def service_cells(row: Row) -> tuple[str, ...]:
    answered = sum(row["statuses"].values())
    right = row["statuses"].get("200", 0)
    ms = row["ms"]
    return (f"{row['answers_per_second']:,.0f}", percent(right / answered),
            f"{ms['p50']:.0f} ms", f"{ms['p99']:.0f} ms")  # fmt: skip


def soak(told: Row) -> Iterator[str]:
    asked, kept = told["requests_per_second"], told["second_and_last_quarter"]
    wrong = sum(told["unexpected"].values())
    yield from section(
        "The service for long",
        f"{sum(told['requests'].values()):,} requests of {len(told['requests'])} kinds in "
        f"{told['minutes']:g} minutes, at {percent(asked['asked'] / asked['full load'])} of full "
        f"load; {wrong or 'none'} answered otherwise than it should be.",
    )
    head = ("", "second quarter of the time", "last")
    yield from table(head, ((name.replace("_mb", ", MB"), *map(str, pair))
                            for name, pair in kept.items()))  # fmt: skip


FILES: dict[str, Callable[[Row], Iterable[str]]] = {
    "reading_peers": peers,
    "ink": ink,
    "service": service,
    "soak": soak,
}


# --- cells --------------------------------------------------------------------------------------


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Markdown's table."""
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def shares(row: Row) -> tuple[str, str, str]:
    """How many are right, of how many, and the interval of the share, of lines by page."""
    right = f"{row['right']:,} ({percent(row['accuracy'])})" if row["n"] else "–"
    bounds = row.get("accuracy_95_by_page") or row["accuracy_95"]
    return right, f"{row['n']:,}", interval(bounds)


def interval(bounds: tuple[float, float] | None) -> str:
    return f"{percent(bounds[0])}–{percent(bounds[1])}" if bounds else "–"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}%"
