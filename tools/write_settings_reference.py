"""Writes docs/reference/settings.md from the table of settings.

Usage: python tools/write_settings_reference.py [--check]

With --check nothing is written; the exit code is 1 where the page is stale.
"""

import sys
from itertools import groupby
from pathlib import Path

from imgclf.runs.settings import BY_RECIPE, SettingField, setting_fields
from imgclf.tuning.trial_settings import NOT_IN_TRIALS

TARGET = Path(__file__).parents[1] / "docs/reference/settings.md"

HEAD = """\
# Settings

The settings of a training: keywords of `imgclf.train` and `imgclf.tune`, options of
`imgclf train` and `imgclf tune`, entries of `config.json` and `best.json`. Names and defaults are
the same everywhere. The [recipe](../how-to/train.md#recipes) chooses defaults marked with (\\*);
those shown are of `fast`. A search (`tune`) has its own `architecture`, `budget` and `tensorboard`,
and does not take {not_taken}.
"""

OWN_OF_SEARCH = {"architecture", "budget", "tensorboard"}

COLUMNS = ("name", "option", "default", "accepted", "meaning")


def main() -> None:
    """Write or check the page."""
    not_taken = sorted(NOT_IN_TRIALS - OWN_OF_SEARCH)
    parts = [HEAD.format(not_taken=", ".join(f"`{name}`" for name in not_taken))]
    shown = [item for item in setting_fields() if item.setting.group]
    for group, items in groupby(shown, key=lambda item: item.setting.group):
        rows = [COLUMNS, ("---",) * len(COLUMNS), *map(row_of, items)]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        parts.append(f"## {group}\n\n{table}\n")
    text = "\n".join(parts)
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET.name} is stale: run python {Path(__file__).name}.")
        return
    TARGET.write_text(text, encoding="utf-8")


def row_of(item: SettingField) -> tuple[str, ...]:
    """Return the cells of a setting."""
    flags = [f"`{flag}`" for flag in (*item.setting.short, item.flag)]
    if item.is_switch and item.default is not False:
        flags.append(f"`--no-{item.flag.removeprefix('--')}`")
    accepted = "True or False" if item.is_switch else item.accepted
    cells = (f"`{item.name}`", ", ".join(flags), default_of(item), accepted, item.setting.help)
    return tuple(cell.replace("|", r"\|") for cell in cells)


def default_of(item: SettingField) -> str:
    """Return the default of a setting as text."""
    if item.setting.default_text:
        return item.setting.default_text + (r" (\*)" if item.default is BY_RECIPE else "")
    return (
        f"`{item.default}`"
        if isinstance(item.default, (str, int, float, type(None)))
        else "no options"
    )


if __name__ == "__main__":
    main()
