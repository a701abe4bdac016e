"""`imgclf cache`: what is kept between runs."""

from __future__ import annotations

import datetime

import typer
from rich.table import Table

from imgclf.cli._console import print_json, result_console, shown_path
from imgclf.cli._help import VerbGroup, VerbWithHelp
from imgclf.cli._parameters import JsonFlag
from imgclf.machine.terminal import escape

app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    help="List or clear what is kept between runs: decoded pixels, features, networks.",
    epilog="Example: `imgclf cache list`",
)


@app.command("list", cls=VerbWithHelp)
def list_(as_json: JsonFlag = False) -> None:
    """List what is cached and the folders of its images, least recently used first.

    Example: `imgclf cache list`
    """
    from imgclf.data.store.cache import MAX_CACHE_BYTES, cache_folder, list_cache

    entries = list_cache()
    total = sum(entry.size_bytes for entry in entries)
    if as_json:
        listed = [
            {
                "path": str(entry.path), "kind": entry.kind, "source": entry.source,
                "size_bytes": entry.size_bytes, "last_used": entry.last_used,
            }
            for entry in entries
        ]  # fmt: skip
        print_json({"folder": str(cache_folder()), "size_bytes": total, "entries": listed})
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("kept", no_wrap=True)
    table.add_column("images of", overflow="fold")
    table.add_column("MB", justify="right", no_wrap=True)
    table.add_column("last used", no_wrap=True)
    for entry in entries:
        used = datetime.datetime.fromtimestamp(entry.last_used).astimezone()
        table.add_row(
            escape(entry.kind),
            escape(shown_path(entry.source)) if entry.source else "-",
            f"{entry.size_bytes / 1e6:,.1f}",
            f"{used:%Y-%m-%d %H:%M}",
        )
    if entries:
        result_console().print(table)
        result_console().print()
    kept = f"{total / 1e6:,.1f} MB" if entries else "Nothing"
    result_console().print(
        f"{kept} of at most {MAX_CACHE_BYTES / 1e9:,.0f} GB in {shown_path(cache_folder())}\n"
        "Beyond that, what was used least recently is removed.\nTo remove all: imgclf cache clear",
        markup=False,
        soft_wrap=True,
    )


@app.command(cls=VerbWithHelp)
def clear(as_json: JsonFlag = False) -> None:
    """Clear the cache; the next training reads its images again.

    Example: `imgclf cache clear`
    """
    from imgclf.data.store.cache import clear_cache

    freed = clear_cache()
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        result_console().print(f"Freed {freed / 1e6:,.1f} MB.")
