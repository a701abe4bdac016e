"""The page that compares two runs says what their answers say, in a real browser."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import Visit
from imgclf.errors import WriteError
from imgclf.reports.comparison import compare_runs
from imgclf.reports.comparison_page import write_comparison
from imgclf.runs.record import read_run

ODD_NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def runs(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a run and a copy that has other answers and a name that tries to be markup."""
    first = tmp_path_factory.mktemp("compared") / "plain"
    second = first.parent / ODD_NAME
    for folder, wrong in ((first, range(3)), (second, range(2, 8))):
        shutil.copytree(trained.bundle.parent, folder)
        set_wrong(folder / "predictions.csv", set(wrong))
    config = json.loads((second / "config.json").read_text(encoding="utf-8"))
    changed = {**config, "epochs": 99, "batch_size": 99}
    (second / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    return first, second


def set_wrong(path: Path, wrong: set[int]) -> None:
    """Write predictions again, of which exactly these are wrong."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    for number, row in enumerate(rows):
        other = "light" if row[1] == "dark" else "dark"
        answer, left = (other, "0.3") if number in wrong else (row[1], "0.7")
        row[2:5] = [answer, "0.7", left]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


@pytest.fixture(scope="module")
def page(runs: tuple[Path, Path]) -> Path:
    """Return the page."""
    return write_comparison(*map(read_run, runs))


@pytest.fixture
def visit(browser: Any, page: Path) -> Iterator[Visit]:
    """Open the page; at the end nothing may have gone wrong."""
    visit = Visit(browser, page, viewport={"width": 1200, "height": 900})
    yield visit
    visit.context.close()
    assert visit.complaints == []


def test_it_states_the_comparison(visit: Visit, runs: tuple[Path, Path]) -> None:
    """Both accuracies and the test are those of `compare_runs`; what differs is listed.

    Epochs are those that were trained, not those that a budget or a stop cut short.
    """
    found = compare_runs(*map(read_run, runs))
    sides = visit.page.locator("#sides").inner_text()
    for accuracy in found.accuracies:
        assert f"{100 * accuracy:.1f}%" in sides
    assert f"p = {found.p_value:.3g}" in visit.page.locator(".verdict").inner_text()
    rows = visit.page.locator("#settings tbody tr").all_inner_texts()
    assert rows[0].split()[:2] == ["batch", "size"]
    assert rows[0].split()[-1] == "99"
    trained = str(len(read_run(runs[0]).history["epoch"]))
    assert [row.split() for row in rows if "epochs" in row] == [["epochs", trained, trained]]


def test_a_count_shows_its_images(visit: Visit, runs: tuple[Path, Path]) -> None:
    """Choosing a count shows the images that it counts, with the answers of both runs."""
    paths = read_run(runs[0]).paths
    expected = [paths[2:3], paths[:2], paths[3:8]]
    labels = ("Wrong in both", "Right in the second run only", "Right in the first run only")
    for label, images in zip(labels, expected, strict=True):
        button = visit.page.locator(f"#agreement button[aria-label^='{label}']")
        assert button.inner_text() == str(len(images))
        button.focus()
        visit.page.keyboard.press("Enter")
        figures = visit.page.locator("#group figure")
        assert set(figures.evaluate_all("all => all.map(item => item.title)")) == set(images)
        assert figures.locator("img").count() == len(images)
        assert button.get_attribute("aria-pressed") == "true"


def test_the_recalls_sort_by_their_difference(visit: Visit) -> None:
    """The class that lost most stands first; choosing the heading turns the order."""
    cells = visit.page.locator("#class-table tbody td:nth-child(4)")
    before = [float(text) for text in cells.all_inner_texts()]
    assert before == sorted(before)
    visit.page.locator("#class-table th button", has_text="difference").click()
    assert [float(text) for text in cells.all_inner_texts()] == sorted(before, reverse=True)


def test_names_stay_text(visit: Visit, page: Path) -> None:
    """A run folder whose name looks like markup is shown as text."""
    assert ODD_NAME in visit.page.locator("h1").inner_text()
    assert visit.page.locator("img[src=x]").count() == 0
    assert ODD_NAME not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("theme", "width"), [("light", 400), ("dark", 1600)])
def test_it_fits_and_is_accessible(browser: Any, page: Path, theme: str, width: int) -> None:
    """Narrow and wide, light and dark: no sideways scrolling, nothing that axe calls serious."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    size = {"width": width, "height": 900}
    visit = Visit(browser, page, viewport=size, color_scheme=theme)
    visit.page.locator("#agreement button").first.click()
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(visit.page).response["violations"]
    visit.context.close()
    serious = [item for item in found if item["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=1)[:3000]
    assert visit.complaints == []


def test_a_page_that_cannot_be_written_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """An output in a folder that does not exist is an expected error."""
    with pytest.raises(WriteError, match="cannot be written"):
        write_comparison(*map(read_run, runs), output=tmp_path / "none" / "page.html")
