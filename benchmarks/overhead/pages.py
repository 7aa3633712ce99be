"""Writes a run into the documentation: raw results, plots, and what pages say of them, between marks."""

from pathlib import Path

from benchmarks.overhead import plots, results
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.report import MARKS, PAGE, README, README_MARKS, report, summary
from benchmarks.overhead.results import Run

FOLDER = "benchmarks"


def write(run: Run, docs: Path) -> list[Path]:
    """Write into a folder of documentation; return the files. Raises OSError, ValueError."""
    figures = Figures(run)
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "overhead.json"
    results.save(run, raw)
    drawn = plots.draw(figures, folder)
    page = docs / PAGE
    text = report(figures, [(title, f"{FOLDER}/{file.name}") for title, file in drawn if file.suffix == ".svg"])
    if not page.exists():
        page.write_text(f"{MARKS.begin}\n{MARKS.end}\n", encoding="utf-8")
    MARKS.write(page, text)
    written = [raw, page, *(file for _, file in drawn)]
    if (readme := docs.parent / README).exists():
        README_MARKS.write(readme, summary(figures))
        written.append(readme)
    return written
