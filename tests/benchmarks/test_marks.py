"""Pages keep what people wrote in them."""

from pathlib import Path

import pytest

from benchmarks.marks import Marks, table

MARKS = Marks("cost", "make bench-cost")
PAGE = f"before\n{MARKS.begin}\nold\n{MARKS.end}\nafter\n"


def test_only_what_is_between_the_marks_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(PAGE, encoding="utf-8")
    MARKS.write(file, "new\n")
    assert file.read_text(encoding="utf-8") == f"before\n{MARKS.begin}\n\nnew\n\n{MARKS.end}\nafter\n"


@pytest.mark.parametrize("page", ["nothing", MARKS.begin, Marks("other", "make other").begin + MARKS.end])
def test_a_page_without_the_place_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="no place for the report"):
        MARKS.replaced(page, "new")


def test_what_is_told_is_printed_and_written_where_there_is_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    file.write_text(PAGE, encoding="utf-8")
    MARKS.tell("new", None)
    assert file.read_text(encoding="utf-8") == PAGE
    MARKS.tell("new", file)
    assert "new" in file.read_text(encoding="utf-8")
    assert capsys.readouterr().out == "new\nnew\n"


def test_a_table_has_a_head_and_its_rows() -> None:
    assert table(["a", "b"], [["1", "2"], ["3", ""]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 |  |"
