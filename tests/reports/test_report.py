"""The report is one page that says what the run says, in a real browser, whatever the names are."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from typer.main import get_command

from browsing import Visit
from conftest import write_images
from imgclf.classifiers.bundle import read_bundle
from imgclf.cli._settings import _given, read_settings_file
from imgclf.cli.main import app
from imgclf.errors import RunFolderError
from imgclf.machine.plain_text import printable
from imgclf.reports.label_issues import find_label_issues
from imgclf.reports.page import fill_page
from imgclf.reports.report import write_report
from imgclf.reports.reproduction import command_words, reproduction
from imgclf.reports.sections import curves
from imgclf.reports.thumbnails import choose_for_cells, thumbnails
from imgclf.runs.config import plain_settings
from imgclf.runs.record import read_run
from imgclf.runs.settings import setting_fields
from imgclf.workflow.training import Settings, run_training

ODD_CLASS = "<img src=x onerror=alert(1)>"
ODD_FILE = '"><script>alert(2)<{{title}}.png'


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose names try to be markup, with some mistakes in it."""
    root = tmp_path_factory.mktemp("odd") / "<b onclick=alert(3)>data"
    for split, counts in (("train", 30), ("val", 12), ("test", 40)):
        names = {"plain": counts, ODD_CLASS: counts, "{{script}}": counts}
        write_images(root / split, names, seed=len(split))
    for number in range(3):
        source, target = root / "val" / "plain", root / "val" / ODD_CLASS
        (source / f"{number:03}.png").rename(target / f"swapped-val{number}.png")
    for number in range(12):  # labels that are wrong, so that there are mistakes to show
        name = f"swapped{number}.png" if number else ODD_FILE
        (root / "test" / "plain" / f"{number:03}.png").rename(root / "test" / ODD_CLASS / name)
    settings = Settings(
        architecture="three_conv",
        options={"filters": 8, "hidden_units": 8, "dropout": 0.0},
        image_size=(24, 24),
        epochs=12,
        batch_size=16,
        learning_rate=1e-2,
    )
    run = run_training(root, settings, run_dir=tmp_path_factory.mktemp("odd_runs") / "run")
    assert run.bundle is not None
    return run.bundle.parent


@pytest.fixture
def visit(browser: Any, odd_run: Path) -> Iterator[Visit]:
    """Open the report of the odd run; at the end nothing may have gone wrong."""
    visit = Visit(browser, odd_run / "report.html", viewport={"width": 1200, "height": 900})
    yield visit
    visit.context.close()
    assert visit.complaints == []


def predictions(run: Path) -> list[dict[str, str]]:
    """Read a run's predictions.csv."""
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown_paths(visit: Visit) -> list[str]:
    """Return the paths of the pictures on the page, after showing those that wait."""
    more = visit.page.locator("#pictures .button")
    while more.is_visible():
        more.click()
    return visit.page.locator("#pictures figure").evaluate_all("all => all.map(item => item.title)")


def test_names_stay_text(visit: Visit, odd_run: Path) -> None:
    """Class names, file names and the folder's name that look like markup are shown as text."""
    page = visit.page
    assert page.locator("h1").inner_text() == "<b onclick=alert(3)>data"
    assert page.locator("#class-table th[scope=row]").all_inner_texts().count(ODD_CLASS) == 1
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 2
    assert page.locator("#filters button").first.inner_text().startswith("Mistakes")
    assert any(path.endswith(ODD_FILE) for path in shown_paths(visit))
    markup = (odd_run / "report.html").read_text(encoding="utf-8")
    assert ODD_CLASS not in markup
    assert ODD_FILE not in markup


def test_the_headline_is_the_runs(visit: Visit, odd_run: Path) -> None:
    """The page states the accuracy, the interval and the images of the run."""
    rows = predictions(odd_run)
    right = sum(row["true"] == row["predicted"] for row in rows)
    text = visit.page.locator(".headline").inner_text()
    assert f"{100 * right / len(rows):.1f}%" in text
    assert f"{right} of {len(rows)} test images right" in text


def test_the_page_says_what_to_do_with_the_classifier(visit: Visit, odd_run: Path) -> None:
    """Commands name the run's own folder, as it is typed where it lies, whatever link led to it."""
    shown = visit.page.locator("#use pre").all_inner_texts()
    assert shown[0] == f"imgclf predict {odd_run.name} PHOTO.jpg"
    assert [text.split()[1] for text in shown[:3]] == ["predict", "evaluate", "export"]


def test_a_cell_shows_its_images(visit: Visit, odd_run: Path) -> None:
    """A cell of the matrix has the count and share of its images; choosing it shows them alone."""
    rows = predictions(odd_run)
    names = read_run(odd_run).class_names
    checked = 0
    for button in visit.page.locator(".matrix button").all():
        true, predicted = (
            names[int(button.get_attribute(f"data-{axis}") or "")] for axis in ("row", "column")
        )
        expected = {r["path"] for r in rows if (r["true"], r["predicted"]) == (true, predicted)}
        count, share = button.inner_text().split()
        assert int(count) == len(expected)
        assert share == f"{100 * len(expected) / sum(r['true'] == true for r in rows):.1f}%"
        button.click()
        shown = shown_paths(visit)
        assert set(shown) <= expected
        assert len(shown) == min(len(expected), 16 if true == predicted else 40)
        images = visit.page.locator("#pictures img")
        images.evaluate_all("all => Promise.all(all.map(image => image.decode()))")
        assert images.evaluate_all("all => all.every(i => i.naturalWidth > 0)")
        assert button.get_attribute("aria-pressed") == "true"
        checked += true != predicted
    assert checked >= 1


def test_no_picture_is_shown_twice(visit: Visit, odd_run: Path) -> None:
    """Mistakes come first and are all there; none of them is among the other groups' images."""
    wrong = {row["path"] for row in predictions(odd_run) if row["true"] != row["predicted"]}
    shown = shown_paths(visit)
    assert set(shown) == wrong
    assert len(shown) == len(wrong)
    seen = set(shown)
    for button in visit.page.locator("#filters button").all()[1:]:
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        if not button.inner_text().startswith("Wrong labels"):  # a choice from the mistakes
            shown = shown_paths(visit)
            assert not seen & set(shown)
            seen |= set(shown)
    page = (odd_run / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'"src":"(data:[^"]+)"', page)
    assert len(sources) == len(set(sources)) > len(seen)


def test_an_image_is_enlarged_by_click_and_key(visit: Visit) -> None:
    """A dialog shows it with the heat map, arrows go on, Escape ends, the focus is back."""
    page = visit.page
    first = page.locator(".enlarge").first
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("img").count() == 2
    path = dialog.locator(".words .note").inner_text()
    assert path == page.locator("#pictures figure").first.get_attribute("title")
    page.keyboard.press("ArrowRight")
    assert dialog.locator(".words .note").inner_text() != path
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert page.evaluate("document.activeElement.classList.contains('enlarge')")


def test_the_slider_counts_rightly(visit: Visit, odd_run: Path) -> None:
    """At every threshold the page's precision, coverage and recall are those of the answers."""
    rows = predictions(odd_run)
    visit.page.locator("#threshold summary").click()
    for threshold in (0, 60, 80, 95):
        visit.page.locator("#slider").fill(str(threshold))
        answered = [row for row in rows if float(row["probability"]) >= threshold / 100]
        right = sum(row["true"] == row["predicted"] for row in answered)
        text = visit.page.locator("#slider-figures").inner_text()
        assert f"{len(answered)} of {len(rows)} answered" in text
        assert f"{100 * right / len(rows):.1f}%" in text
        if answered:
            assert f"{100 * right / len(answered):.1f}%" in text


def test_two_classes_have_their_curves(trained: Any) -> None:
    """For two classes the report holds ROC and precision-recall curve, the first with its area."""
    run = read_run(trained.bundle.parent)
    found = curves(run)
    assert found is not None
    area = np.trapezoid(found["true_positive_rate"], found["false_positive_rate"])
    assert area == pytest.approx(trained.evaluation.metrics.roc_auc, abs=0.01)
    assert len(found["recall"]) == len(found["precision"]) <= 200


def test_the_class_table_sorts(visit: Visit) -> None:
    """Choosing a heading sorts by it, choosing it again turns the order, and it is announced."""
    page = visit.page
    heading = page.locator("#class-table th button", has_text="precision")

    def column() -> list[float]:
        cells = page.locator("#class-table tbody td:nth-child(2)").all_inner_texts()
        return [float(cell.removesuffix("%")) for cell in cells]

    heading.click()
    assert column() == sorted(column(), reverse=True)
    assert heading.locator("..").get_attribute("aria-sort") == "descending"
    heading.click()
    assert column() == sorted(column())
    assert heading.locator("..").get_attribute("aria-sort") == "ascending"


def test_the_keyboard_is_enough(visit: Visit) -> None:
    """Arrow keys move between the matrix' cells and Enter chooses one."""
    page = visit.page
    first = page.locator(".matrix button").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    focused = page.evaluate("document.activeElement.dataset.row")
    assert focused not in (None, first.get_attribute("data-row"))
    assert page.locator("#pictures .hint b").count() == 1


def unfold(visit: Visit) -> None:
    """Open every folded part, as printing does."""
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.page.locator("#details > details:not([open])").count() == 0


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 400),
        ("dark", 1600),
        pytest.param("dark", 400, marks=pytest.mark.slow),
        pytest.param("light", 1600, marks=pytest.mark.slow),
    ],
)
def test_it_fits_and_nothing_goes_wrong(
    browser: Any, odd_run: Path, theme: str, width: int
) -> None:
    """In both themes, narrow and wide: no sideways scrolling, no error, no network request."""
    visit = Visit(
        browser,
        odd_run / "report.html",
        viewport={"width": width, "height": 900},
        color_scheme=theme,
    )
    assert visit.page.evaluate("document.documentElement.scrollHeight") < (3900, 2400)[width > 400]
    unfold(visit)
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert visit.page.locator("svg[role=img]").count() >= 4
    background = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (theme == "light")
    visit.context.close()
    assert visit.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(browser: Any, odd_run: Path, theme: str) -> None:
    """Axe-core finds no serious violation, with a cell chosen, all unfolded, an image enlarged."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    visit = Visit(browser, odd_run / "report.html", color_scheme=theme)
    visit.page.locator(".matrix button").first.click()
    unfold(visit)
    found = axe.Axe().run(visit.page).response["violations"]
    visit.page.locator(".enlarge").first.click()
    found += axe.Axe().run(visit.page).response["violations"]
    visit.context.close()
    serious = [item for item in found if item["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=1)[:3000]


def test_a_lost_image_leaves_a_gap(odd_run: Path, tmp_path: Path, browser: Any) -> None:
    """A report made after images were deleted says so in their place and shows the others."""
    copy = tmp_path / "run"
    shutil.copytree(odd_run, copy)
    text = (copy / "predictions.csv").read_text(encoding="utf-8")
    (copy / "predictions.csv").write_text(text.replace("swapped1.png", "gone.png"), "utf-8")
    visit = Visit(browser, write_report(copy))
    shown_paths(visit)
    assert visit.page.locator(".missing").first.inner_text() == "not found"
    visit.context.close()
    assert visit.complaints == []


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """An empty folder is refused with what is missing and what to give."""
    with pytest.raises(RunFolderError, match=r"config\.json is missing.*imgclf train"):
        write_report(tmp_path)


def test_pictures_are_shared_fairly() -> None:
    """With a budget every cell shows some images before one shows many; the worst come first."""
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 900), rng.integers(0, 3, 900)
    probability = rng.random(900)
    cells = choose_for_cells(labels, predicted, probability, most=45)
    assert sum(map(len, cells.values())) == 45
    assert {len(indices) for indices in cells.values()} == {5}
    for (true, answer), indices in cells.items():
        shown = probability[indices]
        assert (np.diff(shown) <= 0).all() if true != answer else (np.diff(shown) >= 0).all()


def test_the_model_card_states_the_same(odd_run: Path) -> None:
    """model_card.md has the accuracy, every class, and no name that becomes markup."""
    card = (odd_run / "model_card.md").read_text(encoding="utf-8")
    rows = predictions(odd_run)
    right = sum(row["true"] == row["predicted"] for row in rows)
    assert f"**{100 * right / len(rows):.1f}%**" in card
    assert "\\<img src=x onerror=alert\\(1\\)\\>" in card
    assert ODD_CLASS not in card


@pytest.mark.parametrize("name", [
    "<script>alert(1)</script>", "[a](javascript:alert(1))", "![a](x.png)", "https://evil.example",
    "www.evil.example", "a@evil.example", "`x`", "a|b", "# a", "&lt;", "a\nb", "\u202egnp.exe\x1b",
])  # fmt: skip
def test_names_stay_text_in_markdown(name: str) -> None:
    """A name in the model card is neither markup nor a link, and cannot turn the text around."""
    from imgclf.reports.model_card import _escaped

    shown = MarkdownIt("commonmark").render(f"- {_escaped(name)}")
    assert re.sub("</?(ul|li)>", "", shown).strip() == html.escape(printable(name, is_name=True))
    assert not re.search(r"(?<!\\)://|\bwww\.|(?<!\\)@", _escaped(name))


def test_nothing_turns_the_text_of_a_page_around() -> None:
    """Overrides of the direction and control characters reach no page, wherever they come from."""
    hostile = "\u202egnp.exe\x1b[2J\u2066"
    page = fill_page(
        "comparison.html", ("drawing.js",), {"title": hostile, "verdict": ""},
        {"classes": [hostile], "deep": {"paths": ((hostile, 1),)}},
    )  # fmt: skip
    data = json.loads(page.split('id="page-data">')[1].split("</script>")[0])
    for text in (page, data["classes"][0], data["deep"]["paths"][0][0]):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert data["classes"] == [r"\u202egnp.exe\x1b[2J\u2066"]
    assert data["deep"] == {"paths": [[data["classes"][0], 1]]}


def test_what_a_configuration_says_is_quoted_in_the_command(odd_run: Path) -> None:
    """Whoever pastes the command of a strange run's report runs imgclf and nothing else."""
    config = json.loads((odd_run / "config.json").read_text(encoding="utf-8"))
    config |= {"architecture": "x; touch ran", "train_dir": "/a\n$(touch ran)", "group_by": "`x`"}
    config["options"] = {"$(touch ran)": "'; touch ran"}
    line = " ".join(command_words(config))
    assert "\n" not in line
    words = [str(shutil.which("bash")), "-c", f"printf '%s\\0' {line}"]
    typed = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    assert typed[:5] == ["imgclf", "train", config["train_dir"], "--arch", "x; touch ran"]
    assert "$(touch ran)='; touch ran" in typed


@pytest.mark.parametrize("name", ["predictions.csv", "split.csv", "record.json"])
@pytest.mark.parametrize("content", ["", "a", "[" * 100_000, f"{'x' * 200_000},b\n", "{}", "[]"])
def test_a_run_that_imgclf_did_not_write_is_one_error(
    odd_run: Path, tmp_path: Path, name: str, content: str
) -> None:
    """Files of a run folder that hold anything else are named: no bug of ours, and no report."""
    run = shutil.copytree(odd_run, tmp_path / "run")
    (run / name).write_text(content)
    with pytest.raises(RunFolderError, match=re.escape(str(run))):
        read_run(run)


def test_suspects_are_held_out_images(odd_run: Path) -> None:
    """Test and validation images are suspected, training images never; the report shows both."""
    with (odd_run / "suspects.csv").open(encoding="utf-8", newline="") as file:
        suspects = [row["path"] for row in csv.DictReader(file)]
    splits = {path: split for path, _, _, split in read_run(odd_run).splits}
    assert {splits[path] for path in suspects} == {"test", "val"}
    assert sum("swapped-val" in path for path in suspects) >= 2
    page = (odd_run / "report.html").read_text(encoding="utf-8")
    assert "swapped-val" in page
    assert len(read_run(odd_run).paths) == sum(split == "test" for split in splits.values())


def test_the_speed_of_answers_is_told(visit: Visit) -> None:
    """The model section says how many images a second were answered."""
    row = visit.page.locator("#model tr", has_text="prediction").text_content() or ""
    assert re.search(r"[\d,]+ images/s in float32", row)


@pytest.mark.parametrize("change", [
    {},
    {"average_weights": True, "weight_decay": 0.01, "label_smoothing": 0.2},
    {"augment": "strong", "mixup": 0.2, "oversample": True},
    {"two_phase": False, "patience": 3, "class_weight": "balanced", "accumulate_steps": 2},
    {"budget": 300.0, "group_by": "(a b)", "channels": 1},
    {"two_phase": True, "fine_tune_epochs": 3, "image_size": [24, 32]},
])  # fmt: skip
def test_the_command_makes_the_same_choices(odd_run: Path, change: dict[str, Any]) -> None:
    """What the report's command parses to is what the run's config.json holds."""
    config = {**json.loads((odd_run / "config.json").read_text(encoding="utf-8")), **change}
    words = shlex.split(" ".join(command_words(config)))
    command = get_command(app).commands["train"]  # type: ignore[attr-defined]
    table = [item for item in setting_fields() if item.setting.group]
    with command.make_context("train", words[2:]) as context:
        typed = {item.name: context.params[item.name] for item in table}
    parsed = plain_settings(Settings(**read_settings_file(None, _given(table, typed))))
    undecided = {"recipe", "size_is_open", *(["epochs"] if config["budget"] else [])}
    told = {item.name for item in setting_fields()} - undecided
    assert {name: parsed.get(name) for name in told} == {name: config.get(name) for name in told}


def test_an_augmentation_made_by_hand_is_said_to_be_one(odd_run: Path) -> None:
    """Where no flag gives the augmentation, the report names none and points to config.json."""
    run = read_run(odd_run)
    config = {**run.config, "augment": {"rotation_range": 33.0}}
    told = reproduction(replace(run, config=config), read_bundle(odd_run / "model.imgclf").manifest)
    assert not any("--augment" in word for word in told["command"])
    assert "config.json" in told["remarks"][0]


def test_narrow_tables_break_no_word(browser: Any, odd_run: Path) -> None:
    """At 400 pixels the names of facts and the flags of the command stay whole."""
    size = {"width": 400, "height": 900}
    visit = Visit(browser, odd_run / "report.html", viewport=size)
    unfold(visit)
    whole = """all => all.every(item => {
        const range = document.createRange();
        range.selectNodeContents(item);
        return range.getClientRects().length === 1;
    })"""
    assert visit.page.locator(".pairs th").count() > 10
    assert visit.page.locator(".pairs th").evaluate_all(whole)
    assert visit.page.locator("#reproduce .word", has_text="--seed").evaluate_all(whole)
    visit.context.close()


def test_wrong_labels_are_suspected_first(odd_run: Path) -> None:
    """suspects.csv lists the images that were put into a wrong folder before others."""
    with (odd_run / "suspects.csv").open(encoding="utf-8", newline="") as file:
        suspects = list(csv.DictReader(file))
    first = [Path(row["path"]).name for row in suspects[:12]]
    planted = [name for name in first if name.startswith("swapped") or name == ODD_FILE]
    assert len(planted) >= 9
    assert {row["suggested"] for row in suspects[:3]} == {"plain"}


def answers(num_images: int, right: float, sure: float) -> list[Any]:
    """Return labels, answers and probabilities of a two-class classifier, so often right."""
    labels = np.arange(num_images) % 2
    is_right = np.arange(num_images) < right * num_images
    predicted = np.where(is_right, labels, 1 - labels)
    probability = np.full(num_images, sure)
    return [labels, predicted, probability, np.where(is_right, sure, 1 - sure)]


def test_a_poor_classifier_suspects_nothing() -> None:
    """Of one that is right in 53 of 100, neither unsure nor overconfident answers count."""
    assert find_label_issues(*answers(240, right=0.53, sure=0.55)) == []
    assert find_label_issues(*answers(240, right=0.53, sure=0.99)) == []
    assert find_label_issues(*answers(0, right=1.0, sure=0.99)) == []


def test_suspects_are_sure_contradictions_and_few() -> None:
    """An answer of 90 % counts and one of 89 % does not; at most a tenth of the images."""
    assert len(find_label_issues(*answers(200, right=0.95, sure=0.9))) == 10
    assert find_label_issues(*answers(200, right=0.95, sure=0.89)) == []
    assert len(find_label_issues(*answers(200, right=0.75, sure=0.95))) == 20


PROOF = {
    "format": "litert", "quantize": "float16", "num_images": 120, "source": "<b>the run",
    "agreement": 0.991, "largest_difference": 0.0004, "accuracy_after": 0.9,
    "size_bytes": 2_340_000, "alone_per_s": 210.0, "batched_per_s": 900.0, "memory_bytes": 1,
}  # fmt: skip


def exported_rows(run: Path, browser: Any) -> list[str]:
    """Write the report and return the rows of its exports."""
    visit = Visit(browser, write_report(run))
    rows = visit.page.locator("#exports tbody tr").all()
    texts = [row.text_content() or "" for row in rows]
    assert visit.page.locator("#exports").is_visible() == bool(texts)
    visit.context.close()
    assert visit.complaints == []
    return texts


def test_proofs_of_exports_are_shown(odd_run: Path, tmp_path: Path, browser: Any) -> None:
    """Exports beside the classifier are listed with their proofs; lost and foreign ones are not."""
    run = shutil.copytree(odd_run, tmp_path / "run")
    (run / "<i>.tflite").touch()
    (run / "old.tflite").touch()
    own = json.loads((run / "record.json").read_text(encoding="utf-8"))["classifier_sha256"]
    known = {
        "<i>.tflite": {**PROOF, "classifier_sha256": own},
        "old.tflite": {**PROOF, "classifier_sha256": "0" * 64},
        "lost.tflite": PROOF,
    }
    (run / "export.json").write_text(json.dumps(known), encoding="utf-8")
    rows = exported_rows(run, browser)
    assert len(rows) == 1
    for part in (
        "<i>.tflite",
        "litert, float16",
        "2.3 MB",
        "99.1%",
        "4e-04",
        "90.0%",
        "210 / 900",
    ):
        assert part in rows[0]
    assert "<i>" not in (run / "report.html").read_text(encoding="utf-8")
    (run / "export.json").write_text('{"somebody": "else"}', encoding="utf-8")
    assert exported_rows(run, browser) == []


def test_pictures_keep_their_shape(tmp_path: Path) -> None:
    """Thumbnails are neither cut nor squeezed nor enlarged; what is no image has none."""
    shapes = [(600, 60), (40, 700), (500, 500), (30, 20), (1, 1)]
    paths = []
    for number, shape in enumerate(shapes):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", shape, "teal").save(paths[-1])
    *sources, gone = thumbnails([*paths, str(tmp_path / "gone.png")], num_large=2)
    assert gone is None
    sizes = []
    for source in sources:
        assert source is not None
        content = base64.b64decode(source.split(",")[1])
        sizes.append(Image.open(io.BytesIO(content)).size)
    assert sizes == [(360, 36), (21, 360), (160, 160), (30, 20), (1, 1)]
