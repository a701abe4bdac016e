"""`imgclf serve`: answer over HTTP."""

from __future__ import annotations

import ipaddress
import math
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgclf.cli._console import error_console, print_line, shown_path
from imgclf.cli._parameters import EngineOption, find_classifier, require_path
from imgclf.errors import ArgumentError, ServingError
from imgclf.machine.hardware import available_processors
from imgclf.machine.plain_text import is_plain_text

if TYPE_CHECKING:
    from imgclf.serving.limits import Limits

MIB = 1024**2
LEAST_OF_A_TOKEN = 16


def serve(
    classifiers: Annotated[
        list[str],
        typer.Argument(
            metavar="CLASSIFIER...",
            help="Classifiers' files (.imgclf) or run folders; NAME=PATH gives one a name.",
        ),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Interface to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 takes a free one."),
    ] = 8000,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Let other machines ask (--host 0.0.0.0).")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Accept requests under this host name, too; repeatable."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token that requests must carry."),
    ] = None,
    collect: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep images that users mark as wrong, to train on."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Worker processes.")] = 1,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Requests that a process computes at a time. Default: one per core.",
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Waiting requests; more are refused (503)."),
    ] = 64,
    max_mib: Annotated[int, typer.Option(min=1, metavar="N", help="Largest request, in MiB.")] = 32,
    max_megapixels: Annotated[
        int, typer.Option(min=1, metavar="N", help="Largest image, in megapixels.")
    ] = 50,
    max_images: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most images in a request.")
    ] = 64,
    header_timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Longest wait for a request's headers."),
    ] = 10.0,
    body_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Longest wait for a request's body.")
    ] = 30.0,
    engine: EngineOption = "auto",
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Write the log as lines of JSON.")
    ] = False,
) -> None:
    """Serve classifiers: a page to try them on, and an HTTP API.

    Open the address that is printed in a browser. Programs send images to `POST /predict`; `/docs`
    describes every address. A classifier's file that changes is loaded again. Ctrl-C finishes the
    requests that have begun, then stops.

    Example: `imgclf serve runs/last`
    """
    from imgclf.serving.extra import require_extra

    files = read_files(classifiers)
    require_permission(host, allow_network=allow_network)
    token = None if token_file is None else read_token(token_file)
    if token is None and not is_loopback(host):
        print_line(
            error_console(),
            "Anyone who can reach this machine may use it: --token-file FILE requires a token.",
        )
    require_extra()
    from imgclf.serving.limits import Limits
    from imgclf.serving.listener import bind

    limits = Limits(
        max_bytes=max_mib * MIB,
        max_buffered_bytes=4 * max_mib * MIB,
        max_pixels=max_megapixels * 1_000_000,
        max_images=max_images,
        header_timeout_s=header_timeout,
        body_timeout_s=body_timeout,
        concurrency=concurrency or max(1, available_processors() // workers),
        queue=queue,
    )
    with bind(host, port) as listener:
        from imgclf.serving.loading import Loading

        # Worker processes load for themselves. Meanwhile the server's packages are imported.
        loading = Loading(files, limits.concurrency, engine) if workers == 1 else None
        from imgclf.serving.guard import own_names
        from imgclf.serving.server import ServerSettings, run_server

        settings = ServerSettings(
            files=files,
            limits=limits,
            host_names=own_names(host) | {name.lower() for name in allowed_host or ()},
            token=token,
            collect_dir=collect,
            workers=workers,
            log_json=log_json,
            loading=loading,
            engine=engine,
        )
        address = f"http://{_shown_host(host)}:{listener.getsockname()[1]}"
        run_server(
            settings,
            listener,
            lambda pid: _print_ready(settings.files, address, pid, limits, workers),
        )


def read_files(classifiers: list[str]) -> dict[str, Path]:
    """Read ``NAME=PATH`` and paths of files or run folders; refuse two of one name."""
    from imgclf.serving.served_names import default_name

    files: dict[str, Path] = {}
    for text in classifiers:
        name, sign, rest = text.partition("=")
        named = bool(sign) and not Path(text).exists()
        path = find_classifier(Path(rest if named else text))
        assert path is not None
        require_path(path)
        name = name if named else default_name(path)
        if not name or "/" in name or not is_plain_text(name):
            raise ArgumentError(
                f"{text!r} gives no name that an address can have: write NAME=PATH."
            )
        if name in files:
            raise ArgumentError(
                f"{shown_path(files[name])} and {shown_path(path)} would both be {name!r}: give "
                "one of them another name, as NAME=PATH."
            )
        files[name] = path.absolute()
    return files


def require_permission(host: str, *, allow_network: bool) -> None:
    """Refuse to listen on more than this machine unless that was allowed."""
    if allow_network or is_loopback(host):
        return
    raise ServingError(
        f"--host {host} lets other machines ask: add --allow-network, and --token-file FILE for a "
        "network that you do not trust; or leave --host out."
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens on a host."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise ServingError(
            f"--host {host} is not an address of this machine: give one, such as 127.0.0.1."
        ) from error
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)


def read_token(file: Path) -> str:
    """Read the token of a file."""
    require_path(file)
    token = file.read_text(encoding="utf-8", errors="replace").strip()
    if len(token) < LEAST_OF_A_TOKEN or not (
        token.isascii() and token.isprintable() and " " not in token
    ):
        raise ArgumentError(
            f"{shown_path(file)} holds no token: write one line of at least {LEAST_OF_A_TOKEN} "
            "letters and digits into it, as openssl rand -hex 32 makes it."
        )
    return token


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _print_ready(
    files: dict[str, Path], address: str, pid: int, limits: Limits, workers: int
) -> None:
    """Print what is served, where, and within which limits."""
    from imgclf.serving.memory_cap import memory_cap

    console = error_console()
    for name, file in files.items():
        print_line(console, f"{name}: {shown_path(file)}")
    print_line(
        console,
        f"Serving at {address}: open it in a browser. For programs: {address}/docs. Ctrl-C stops.",
    )
    cap = math.ceil(memory_cap(pid, list(files.values()), limits) / 1e8) / 10
    each = f" in each of {workers} processes" if workers > 1 else ""
    print_line(
        console,
        f"A request: at most {limits.max_bytes // MIB} MiB, {limits.max_images} images of "
        f"{limits.max_pixels / 1e6:g} megapixels. Memory: below {cap:.1f} GB{each}.",
    )
