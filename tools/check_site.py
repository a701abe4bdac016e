"""Checks a built site: every link, picture and anchor leads somewhere, nothing is fetched.

Usage: mkdocs build --strict -d SITE && python tools/check_site.py SITE

MkDocs checks the links of Markdown; this one reads the pages as a browser does, with what themes,
plugins and HTML in the pages add. Addresses on the web are left alone, unless a page would load
something from there. The exit code is 1 where a link is broken.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "link": "href", "source": "srcset", "iframe": "src"}
"""What a browser fetches by itself, by its tag."""

FOLLOWED_RELS = {"canonical", "edit", "prev", "next"}
"""Kinds of `link` that are not fetched."""


class Page(HTMLParser):
    """The anchors of a page, and all that it links to or loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors and addresses of a tag."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        address = values.get(LOADED.get(tag, ""), "")
        if address and values.get("rel", "") not in FOLLOWED_RELS:
            self.loads.append(address)


def main() -> None:
    """Print every broken link of a site."""
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").split("\n\n")[1])
    site = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        sys.exit(f"{site} has no pages: build the site first.")
    faults = [
        f"{path.relative_to(site)}: {fault}"
        for path, page in pages.items()
        for fault in faults_of(path, page, pages, site)
    ]
    num_links = sum(len(page.links) + len(page.loads) for page in pages.values())
    print(f"{len(pages)} pages, {num_links:,} links, {len(faults)} broken")
    if faults:
        sys.exit("\n".join(faults))


def faults_of(path: Path, page: Page, pages: dict[Path, Page], site: Path) -> list[str]:
    """List what is wrong with the links of a page."""
    faults = [f"loads {address}" for address in page.loads if urlsplit(address).netloc]
    for address in {*page.links, *page.loads}:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        start = site if parts.path.startswith("/") else path.parent
        target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            faults.append(f"{address} leads nowhere")
        elif is_lost(parts.fragment, pages.get(target)):
            faults.append(f"{address} has no such anchor")
    return faults


def is_lost(fragment: str, page: Page | None) -> bool:
    """Say whether a page lacks an anchor; a picture's ``#only-light`` is the theme's."""
    return bool(fragment) and page is not None and unquote(fragment) not in page.anchors


if __name__ == "__main__":
    main()
