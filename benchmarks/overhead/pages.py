"""Writes a run into the documentation: raw results, plots, and a section between two marks."""

from pathlib import Path

from benchmarks.overhead import plots, results
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.report import report
from benchmarks.overhead.results import Run

PAGE = "benchmarks.md"
FOLDER = "benchmarks"
BEGIN, END = "<!-- overhead: written by make bench-overhead -->", "<!-- overhead: end -->"


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


def replaced(page: str, text: str) -> str:
    """Return the page with another text between the marks. Raises ValueError when it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the report: {BEGIN} ... {END}")
    return f"{before}{begin}\n\n{text}\n{end}{after}"
