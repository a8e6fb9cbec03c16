"""The table of how fast everything is, from `speed.json`; a part not measured yet has no row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from measured import Row, about, between, result, table

OURS = "digitreader"
HEAD = ("what", "digitreader", "aim", "others, in the same run", "load before")
Cells = tuple[str, str, str]


def page(before: str) -> str:
    """Put what was measured between the page's marks."""
    told = result("speed")
    rows = [(what, *cells(told[what]), f"{told[what]['load_before']}")
            for what, cells in ROWS.items() if what in told]  # fmt: skip
    parts = [*table(HEAD, rows), "", about(told)]
    for title, section in SECTIONS.items():
        if title in told:
            load = told[title]["load_before"]
            parts += ["", *section(told[title]), "", f"(Load before: {load}.)"]
    parts += ["", *team(result("team"))]
    return between(before, parts)


def together(told: Row) -> Cells:
    return f"{rate(told[OURS])} a second", "30,000", others(told, rate)


def alone(told: Row) -> Cells:
    other = f"Keras `predict`, same network {told['keras predict']:.0f} ms, {times(told['ratio'])}"
    return f"{told[OURS]:.3f} ms", "0.1 ms", other


def cold(told: Row) -> Cells:
    other = f"script with Keras {process(told['keras'])}, {times(told['ratio_of_seconds'])}"
    return process(told[OURS]), "0.30 s, 150 MB", other


def process(row: Row) -> str:
    return f"{seconds(row)}, {row['peak_mb_median']:.0f} MB"


def files(told: Row) -> Cells:
    return f"{rate(told[OURS])} a second", "8,000", others(told, rate)


def parquet(told: Row) -> Cells:
    return f"{seconds(told[OURS])} for {told['digits']:,}", "5 s", "–"


def million(told: Row) -> Cells:
    pss = told["memory_mb"]["pss"]
    ours = (
        f"{told['per_second']:,.0f} a second; all its processes {pss['most']:.0f} MB, "
        f"from {pss['first']:.0f} to {pss['last']:.0f}"
    )
    return ours, "400 MB", "–"


def ray(told: Row) -> Cells:
    ours = (
        f"two workers {told['speedup']:.2f} times as fast as one; "
        f"{100 * told['overhead']:+.0f}% of time against no Ray"
    )
    local = f"no Ray: one {seconds(told['local, 1'])}, two {seconds(told['local, 2'])}"
    return ours, "1.8 times; +15%", f"{local}, for {told['digits']:,}"


def full_page(told: Row) -> Cells:
    digits = told["digits"]
    ours = f"{seconds(told[OURS])}, {digits['right']} of {digits['truth']} digits right"
    lines = told["lines"]
    right = ", ".join(f"{name} {lines[name]['right']}" for name in (OURS, *told["ratios"]))
    return ours, "0.3 s", f"{others(told, seconds)}; lines right of {lines[OURS]['truth']}: {right}"


def rate(row: Row) -> str:
    low, high = row["per_second_min_max"]
    return f"{row['per_second_median']:,.0f} ({low:,.0f}–{high:,.0f})"


def seconds(row: Row) -> str:
    low, high = row["seconds_min_max"]
    return f"{row['seconds_median']:.2f} s ({low:.2f}–{high:.2f})"


def others(told: Row, cell: Callable[[Row], str]) -> str:
    return "; ".join(f"{name} {cell(told[name])}, {times(x)}" for name, x in told["ratios"].items())


def times(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def growth(told: Row) -> Iterator[str]:
    yield from ("![Seconds by the number of glyphs, and of digits on a page](images/speed.png)", "")
    glyphs = max(map(int, told["glyphs"]))
    yield (
        f"A glyph among {glyphs:,} takes {told['microseconds_each']:.0f} µs, and at most a fifth "
        f"more from {told['linear_from']:,} on. A page takes {told['page_seconds']:.2f} s, and "
        f"{told['page_milliseconds_each']:.2f} ms for each digit on it."
    )


def stages(told: Row) -> Iterator[str]:
    for what, taken in ((key, value) for key, value in told.items() if key != "load_before"):
        name, _, unit = what.partition(", ")
        told_of = "; ".join(f"{stage} {time:.0f} {unit}" for stage, time in taken.items())
        yield f"- A {name}: {told_of}."


def team(told: Row) -> Iterator[str]:
    """Training by several processes."""
    one, two = (told["processes"][size] for size in ("1", "2"))
    yield (
        f"**Training on two cores**, a process each, on JAX: {told['times_as_fast']:.2f} times as "
        f"fast as on one ({1000 * one['step_seconds']:.0f} ms a step, "
        f"{1000 * two['step_seconds']:.0f} ms by two), to {100 * two['accuracy']:.2f}% of the test "
        f"images ({100 * one['accuracy']:.2f}%). The {told['network']} network's gradients are "
        f"{told['bytes_a_step'] / 1e6:.2f} MB a step. What eight devices would give in place of "
        "one, worked out from that, were what is computed divided evenly:"
    )
    yield ""
    expected = told["expected"]
    rows = [
        (f"{row['times_a_core']:,}×", f"{row['batches']}×", *map(times, row["by_link"].values()))
        for row in expected
    ]
    head = ("a device, against this core", "batch, against the recipe's", *expected[0]["by_link"])
    yield from table(head, rows)
    yield from ("", about(told))


SECTIONS: dict[str, Callable[[Row], Iterator[str]]] = {
    "where the time goes": stages,
    "cost against size": growth,
}
ROWS: dict[str, Callable[[Row], Cells]] = {
    "glyphs a second on one core": together,
    "one glyph in process, ms": alone,
    "one picture, cold": cold,
    "picture files a second in a batch": files,
    "MNIST from Parquet to Parquet": parquet,
    "a million digits in a batch": million,
    "a batch on Ray": ray,
    "a page of 200 digits": full_page,
}
