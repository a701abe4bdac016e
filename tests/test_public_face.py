"""The promises of `import imgclf`: light, complete, documented."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from pathlib import Path

import pytest

import imgclf
import imgclf.errors
from plugin_folders import run_python

HEAVY = ("tensorflow", "keras", "numpy", "PIL", "cv2", "keras_tuner", "sklearn", "matplotlib")


def loaded_heavy_modules(code: str) -> list[str]:
    """Run code in a fresh interpreter and list the heavy libraries that it has loaded."""
    check = f"\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    return ast.literal_eval(run_python(code + check).stdout.splitlines()[-1])


def _failing(call: str, error: str) -> str:
    return f"import imgclf\ntry: {call}\nexcept {error}: pass"


@pytest.mark.parametrize(
    "code",
    [
        "import imgclf",
        "import imgclf; imgclf.list_architectures()",
        "import imgclf; imgclf.describe_architecture('resnet9')",
        _failing("imgclf.build_model('resnt9', (32, 32, 3))", "imgclf.UnknownArchitectureError"),
        _failing("imgclf.build_model('resnet9', (32, 32, 3), filters=0)", "imgclf.OptionError"),
        _failing("imgclf.build_model('resnet9', (32, 32))", "imgclf.ArgumentError"),
    ],
    ids=["import", "listing", "describing", "mistyped name", "wrong option", "wrong shape"],
)
def test_light_uses_load_nothing_heavy(code: str) -> None:
    """What needs no network loads neither TensorFlow, Keras, NumPy nor Pillow."""
    assert loaded_heavy_modules(code) == []


def test_every_built_in_is_described_lightly() -> None:
    """Reading the options of the whole zoo loads nothing heavy."""
    code = (
        "import imgclf\nfor name in imgclf.list_architectures(): imgclf.describe_architecture(name)"
    )
    assert loaded_heavy_modules(code) == []


def test_the_table_of_rooms_and_the_type_checkers_imports_agree() -> None:
    """What type checkers see of the door is what it opens to, name for name."""
    tree = ast.parse(Path(inspect.getfile(imgclf)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (str(node.module), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {(room, name) for room, names in imgclf._ROOMS.items() for name in names}


def test_exported_names_are_in_all_and_dir() -> None:
    """`dir(imgclf)` and `__all__` list every public name once."""
    assert sorted(imgclf.__all__) == sorted([*imgclf._ROOM_OF, "__version__"])
    assert set(dir(imgclf)) >= set(imgclf.__all__)


def test_every_public_name_opens_and_is_documented() -> None:
    """Each name in `__all__` can be imported and says what it is."""
    for name in imgclf.__all__:
        value = getattr(imgclf, name)
        assert name == "__version__" or inspect.getdoc(value), name


def test_no_room_shares_its_name_with_a_public_name() -> None:
    """A sub-module would replace the function of its own name after its first import."""
    folder = Path(inspect.getfile(imgclf)).parent
    rooms = {path.stem for path in folder.glob("*.py")} | {
        path.name for path in folder.iterdir() if path.is_dir()
    }
    assert rooms.isdisjoint(imgclf._ROOM_OF)


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    """A mistyped attribute fails as it does for any module."""
    with pytest.raises(AttributeError, match="module 'imgclf' has no attribute 'trian'"):
        _ = imgclf.trian


def test_version_is_the_installed_one() -> None:
    """`imgclf.__version__` is what pip shows."""
    assert imgclf.__version__ == importlib.metadata.version("imgclf")
