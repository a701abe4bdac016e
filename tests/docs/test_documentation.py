"""What the documentation says is true: its code runs, its commands exist, nothing is left out."""

from __future__ import annotations

import ast
import builtins
import csv
import doctest
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from PIL import Image

import imgclf
import imgclf.errors
from docs.code_blocks import PAGES, ROOT, blocks_of, commands_of
from imgclf.cli.main import app
from imgclf.data.demo import unpack_images
from imgclf.data.pixels.decoder import REASONS
from imgclf.zoo.registry import find_architectures

DOCS = ROOT / "docs"
FIRST_READ = ("README.md", "five-minutes.md", "errors.md")
"""Pages whose code runs in every test run; that of the others takes two minutes more."""

PAGES_WITH_CODE = [
    pytest.param(page, marks=() if page.name in FIRST_READ else pytest.mark.slow)
    for page in PAGES
    if blocks_of(page, "python")
]


def name_of(page: Path) -> str:
    """Return a page's path as it stands in the repository."""
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", ["security.md", "promise.md"])
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    """Every file and every test that stands behind a sentence is there."""
    text = (DOCS / page).read_text(encoding="utf-8")
    files = set(re.findall(r"tests/[\w/]+\.py", text))
    missing = [name for name in files if not (ROOT / name).is_file()]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", text))
    missing += [name for name in named if f"def {name}(" not in sources]
    assert not missing
    assert files


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all that the pages' code speaks of: photos, splits, a classifier."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)

    def write(path: Path, level: int, side: int = 32) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(level, 40, (side, side, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)

    for level, name in ((80, "cat"), (170, "dog")):
        for number in range(24):
            write(folder / f"photos/{name}/{number:02}.jpg", level)
            write(folder / f"data2/{name}/{number:02}.jpg", level)
            write(folder / f"new-photos/{name}/{number:02}.jpg", level)
        for split, count in (("train", 16), ("val", 6), ("test", 6)):
            for number in range(count):
                write(folder / f"data/{split}/{name}/{number:02}.jpg", level)
        write(folder / f"holiday/{name}.jpg", level)
    write(folder / "new.jpg", 80)
    unpack_images(folder / "imgclf-demo/images")  # as `imgclf demo` does
    clf = imgclf.train(
        folder / "photos", architecture="three_conv", image_size=(32, 32), epochs=30, batch_size=8,
        options={"filters": 8, "hidden_units": 16, "dropout": 0.0}, learning_rate=3e-3,
        augment="none", run_dir=folder / "runs/pets",
    )  # fmt: skip
    # So sure a classifier has no suspects; a person leaves one image out all the same.
    with (folder / "runs/pets/split.csv").open(encoding="utf-8", newline="") as file:
        held_out = next(row for row in csv.DictReader(file) if row["split"] == "test")
    for name in ("suspects.csv", "runs/pets/suspects.csv"):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["path", "corrected"], [held_out["path"], "-"]])
    for name in ("model", "pets"):
        clf.save(folder / f"{name}.imgclf")
    (folder / "exports").mkdir()
    imgclf.export(clf, folder / "exports/pets.tflite")
    return folder


@pytest.fixture
def names(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return the names that a reader has when he comes to a page's code, in his folder."""
    monkeypatch.chdir(desk)
    # What a block leaves behind must not meet the next page.
    before = set(desk.iterdir())
    yield {"imgclf": imgclf, "__name__": "page"}
    for path in set(desk.iterdir()) - before:
        if path.is_file():
            path.unlink()


def shallow_model(batches: Any) -> Any:
    """Return a small Keras model that a reader may have written himself."""
    import keras

    return keras.Sequential(
        [
            keras.Input(batches.input_shape, dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def write_published_weights(folder: Path) -> None:
    """Write weights as Keras publishes them, but random ones: tests fetch nothing."""
    import keras

    backbone = keras.applications.MobileNetV3Small(
        include_top=False, include_preprocessing=False, weights=None, input_shape=(32, 32, 3)
    )
    backbone.save_weights(folder / "published.weights.h5")


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs(
    page: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who types the Python code of a page from top to bottom meets no error."""
    if page.name == "pretrained.md":
        write_published_weights(Path())
    if page.name == "library.md":
        train, _ = imgclf.make_generators("data/train", image_size=(32, 32))
        own = shallow_model(imgclf.make_generators("data/train")[0])
        own.compile("adam", "binary_crossentropy")
        names |= {"my_dataset": train, "my_keras_model": own}
    for block in blocks_of(page, "python"):
        if block.why_not_run:
            continue
        # As many empty lines above it as the page has: a traceback names the page's own line.
        source = "\n" * (block.line - 1) + block.as_tested()
        exec(compile(source, str(page), "exec"), names)  # noqa: S102 - our own documentation
    for name, value in list(names.items()):
        if name.startswith("test_") and inspect.isfunction(value):
            value()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    """Every command that a page shows has a verb and options that the command line knows."""
    root = typer.main.get_command(app)
    for words in commands_of(page):
        command, rest = root, list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert command is not root or words[0].startswith("-"), f"no such verb: {words}"
        known = {flag for parameter in command.params for flag in parameter.opts}
        known |= {flag for parameter in command.params for flag in parameter.secondary_opts}
        known |= {"--help", "-h", "--install-completion", "--show-completion"}
        flags = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert flags <= known, f"{name_of(page)}: {flags - known} in {words}"


def test_some_commands_are_found() -> None:
    """The test above looks at something."""
    assert ["train", "photos/"] in commands_of(ROOT / "README.md")
    assert sum(len(commands_of(page)) for page in PAGES) > 50


def public_names() -> list[str]:
    """List the public names but the version."""
    return [name for name in imgclf.__all__ if name != "__version__"]


def test_every_public_name_has_a_reference_entry() -> None:
    """What is exported is what is documented: each name in `__all__`, and no other."""
    entries = set(re.findall(r"^::: (imgclf\.[\w.]+)$", (DOCS / "reference/python.md").read_text(),
                             re.MULTILINE))  # fmt: skip
    documented = {entry.rpartition(".")[2] for entry in entries}
    errors = (DOCS / "reference/errors.md").read_text()
    assert "::: imgclf.errors" in errors
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", errors, re.MULTILINE)
    remedies = {name: remedy.strip() for name, _, _, remedy in rows}
    for name in public_names():
        if name.endswith("Warning"):  # in prose: there is nothing to be done but to read it
            assert f"`{name}`" in errors
            continue
        is_error = isinstance(getattr(imgclf, name), type) and name.endswith("Error")
        assert (
            (bool(remedies.get(name)) or name == "ImgclfError")
            if is_error
            else (name in documented)
        ), name


def test_every_verb_has_a_reference_entry() -> None:
    """The generated page has a heading for each command, groups included."""
    page = (DOCS / "reference/command-line.md").read_text()
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        for verb in (name, *(f"{name} {inner}" for inner in getattr(command, "commands", {}))):
            assert re.search(rf"^##+ `imgclf {verb}`$", page, re.MULTILINE), verb


def test_every_built_in_architecture_has_a_section() -> None:
    """The page of the zoo says of each what it is for and where it comes from."""
    page = (DOCS / "architectures.md").read_text()
    for name, (registration, *_) in find_architectures().items():
        if registration.builtin:
            assert re.search(rf"^### {name}\n\n\S", page, re.MULTILINE), name


def test_every_page_can_be_found() -> None:
    """Each page of the site stands in its navigation, and each entry is a page."""
    navigation = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(navigation) == sorted(pages)


def test_every_reason_and_setting_is_documented() -> None:
    """Each reason code with its remedy, and each environment variable that the source reads."""
    errors = (DOCS / "reference/errors.md").read_text()
    for reason, remedy in REASONS.items():
        assert f"- `{reason}`: {remedy}" in errors
    configuration = (DOCS / "reference/configuration.md").read_text()
    for path in (ROOT / "src/imgclf").rglob("*.py"):
        for name in re.findall(r"environ(?:\.get|\.setdefault)?[\[(]\"(\w+)\"", path.read_text()):
            assert name in configuration, f"{name}, read in {path.name}"


def test_links_between_files_lead_somewhere() -> None:
    """Links of README, examples and CONTRIBUTING, which the site's build does not see."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_that_pages_speak_of_exist() -> None:
    """Tests, tools, benchmarks and examples that a page names are there."""
    for page in PAGES:
        for name in re.findall(r"`((?:tests|tools|benchmarks|examples)/[\w./-]+\.\w+)`",
                               page.read_text()):  # fmt: skip
            assert (ROOT / name).exists(), f"{name_of(page)}: {name}"


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_has_an_example(name: str) -> None:
    """A docstring shows, in code that can be typed, how a name is used or an error met."""
    text = inspect.getdoc(getattr(imgclf, name)) or ""
    assert re.search(r"^Example:\n +>>> ", text, re.MULTILINE), name


def own_errors(function: Any, seen: set[Any] | None = None) -> set[str]:
    """List the errors that a function raises itself or through private helpers of its module."""
    seen = set() if seen is None else seen
    if function in seen:
        return set()
    seen.add(function)
    raised: set[str] = set()
    caught: set[str] = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught |= {item.id for item in ast.walk(node.type) if isinstance(item, ast.Name)}
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            callee = node.exc.func
            if isinstance(callee, ast.Name) and callee.id.endswith("Error"):
                raised.add(callee.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            helper = function.__globals__.get(node.func.id)
            if node.func.id.startswith("_") and inspect.isfunction(helper):
                # A helper's built-in errors are signals that somebody in the module catches.
                deliberate = set(imgclf.errors.__all__)
                raised |= own_errors(helper, seen) & deliberate
    return raised - caught


def error_named(name: str) -> type[BaseException] | None:
    """Return the exception of this name: one of imgclf's, or a built-in."""
    found = getattr(imgclf.errors, name, None) or getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def documented_errors(text: str) -> list[str]:
    """List the names in the section `Raises:` of a docstring."""
    section = re.search(r"^Raises:\n((?:(?: .*)?\n?)*)", text, re.MULTILINE)
    return re.findall(r"^    (\w+): ", section[1], re.MULTILINE) if section else []


def callables() -> list[Any]:
    """List every public function, and every public method and constructor of a public class."""
    found = []
    for name in public_names():
        value = getattr(imgclf, name)
        if name.endswith("Error"):
            continue
        if not isinstance(value, type):
            found.append(pytest.param(value, value, id=name))
            continue
        for key, method in vars(value).items():
            function = getattr(method, "__func__", getattr(method, "fget", method))
            # What `dataclass` writes has no file.
            if not inspect.isfunction(function) or function.__code__.co_filename[0] == "<":
                continue
            if key in ("__init__", "__post_init__"):
                found.append(pytest.param(function, value, id=f"{name}()"))
            elif not key.startswith("_"):
                found.append(pytest.param(function, function, id=f"{name}.{key}"))
    return found


RAISES_NOTHING = {"list_architectures"}
"""Functions that never fail: a broken package is left out, and named in a log warning."""


@pytest.mark.parametrize(("function", "shown"), callables())
def test_everything_public_says_what_it_raises(function: Any, shown: Any) -> None:
    """`Raises:` names real errors, and each that the code behind a name raises on its own."""
    text = f"{inspect.getdoc(shown) or ''}\n\n{inspect.getdoc(function) or ''}"
    documented = documented_errors(text) or documented_errors(inspect.getdoc(function) or "")
    assert all(error_named(name) for name in documented), documented
    bases = tuple(error_named(name) or Exception for name in documented)
    for name in own_errors(function):
        assert error_named(name), name
        assert issubclass(error_named(name) or Exception, bases), f"{name} is not in Raises"
    if function is getattr(imgclf, function.__name__, None):
        assert documented or function.__name__ in RAISES_NOTHING


@pytest.mark.parametrize("name", public_names())
def test_examples_that_need_no_images_print_what_they_say(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples without a SKIP run as they are typed and print what stands below them."""
    monkeypatch.chdir(tmp_path)
    value = getattr(imgclf, name)
    example = doctest.DocTestParser().get_doctest(
        inspect.getdoc(value) or "", {"imgclf": imgclf, name: value}, name, None, None
    )
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    told: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=flags).run(example, out=told.append)
    assert not told, "".join(told)


@pytest.mark.slow
def test_the_examples_of_docstrings_run(names: dict[str, Any]) -> None:
    """Every example of a public name runs, also where plain doctest has to skip it."""
    train, val = imgclf.make_generators("data/train", "data/val", image_size=(32, 32))
    model = imgclf.build_model("three_conv", train.input_shape, filters=8, hidden_units=8)
    result = imgclf.fit(model, train, val, epochs=1)
    clf = imgclf.Classifier(model, train)
    names |= {"train": train, "val": val, "model": model, "result": result, "clf": clf}
    write_published_weights(Path())
    shorter = {"epochs=20": "epochs=1", "max_trials=10": "max_trials=1", "(96, 96)": "(32, 32)",
               '"imagenet")': '"published.weights.h5")',
               "epochs=30": "epochs=1",
               "(corrected.path)": "(corrected.path, epochs=1, image_size=(32, 32))"}  # fmt: skip
    count = 0
    # How the errors come about is either tested above or what nobody wants to wait for.
    for name in [item for item in public_names() if not item.endswith("Error")]:
        value = getattr(imgclf, name)
        texts, here = [inspect.getdoc(value) or ""], {**names, name: value}
        if isinstance(value, type):
            texts += [
                inspect.getdoc(method) or ""
                for key, method in vars(value).items()
                if not key.startswith("_") and inspect.isfunction(method)
            ]
        for example in (
            item for text in texts for item in doctest.DocTestParser().get_examples(text)
        ):
            source = example.source
            for long, short in shorter.items():
                source = source.replace(long, short)
            exec(compile(source, f"docstring of {name}", "exec"), here)  # noqa: S102
            count += 1
    assert count > 30
