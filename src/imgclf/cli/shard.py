"""`imgclf shard`: a folder of images as tar shards, for large collections."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgclf.cli._console import (
    ScanBar,
    error_console,
    print_json,
    print_quarantined,
    result_console,
    shown_path,
    typed_path,
)
from imgclf.cli._parameters import JsonFlag
from imgclf.cli._settings import with_settings
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.workflow.sharding import WrittenShards


@with_settings(only=("val_split", "seed", "group_by", "near_duplicates"))
def shard(
    given: dict[str, Any],
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder as for `imgclf train`, or a file in its place."),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="A new folder; nothing in DIR is changed.")
    ],
    images_per_shard: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most images of one tar file.")
    ] = 10_000,
    as_json: JsonFlag = False,
) -> None:
    """Write a folder of images as tar shards, divided into train, val and test.

    A few hundred shards are copied and moved faster than a million files. The split is recorded
    inside: every later training on them has the same test images.

    Example: `imgclf shard photos/ shards/`
    """
    from imgclf.workflow.sharding import write_shards

    with ScanBar(error_console()) as progress:
        done = write_shards(
            directory, target, images_per_shard=images_per_shard, progress=progress, **given
        )
    print_quarantined(error_console(), done.quarantined)
    if as_json:
        print_json({**asdict(done), "path": str(done.path)})
    else:
        print_written(done)


def print_written(done: WrittenShards) -> None:
    """Print what was written, and the next command."""
    console = result_console()
    counts = ", ".join(f"{count:,} {split}" for split, count in done.num_images.items())
    path = escape(shown_path(done.path))
    console.print(
        f"{counts} images in {done.num_shards:,} shards, {done.num_bytes / 1e6:,.0f} MB, in "
        f"[bold]{path}[/]",
        soft_wrap=True,
    )
    console.print(f"Next: imgclf train {escape(typed_path(done.path))}", soft_wrap=True)
