"""Writes a run into the documentation: raw results, plots, and a section between two marks."""

from pathlib import Path

from benchmarks.overhead import plots, results
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.report import BEGIN, END, PAGE, replaced, report
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
    page.write_text(replaced(page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n", text))
    return [raw, page, *(file for _, file in drawn)]
