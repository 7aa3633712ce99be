"""The place in a page where a benchmark writes what it found, between two comments, and the tables that it writes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Marks(NamedTuple):
    name: str
    command: str
    """That writes it."""

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: written by {self.command} -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}: end -->"

    def replaced(self, page: str, text: str) -> str:
        """Return the page with another text between the marks. Raises ValueError when it has none."""
        before, begin, rest = page.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"there is no place for the report: {self.begin} ... {self.end}")
        return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"

    def write(self, file: Path, text: str) -> None:
        """Raises OSError, or ValueError where the file has no such place."""
        file.write_text(self.replaced(file.read_text(encoding="utf-8"), text), encoding="utf-8")

    def tell(self, text: str, page: Path | None) -> None:
        """Print it, and write it into the page where there is one."""
        print(text)
        if page is not None:
            self.write(page, text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
