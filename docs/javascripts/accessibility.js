// What the theme leaves out for people who use a keyboard or a screen reader.
document$.subscribe(() =>
  setTimeout(() => {
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((table) => { table.tabIndex = 0; });
    document.querySelectorAll(".md-search").forEach((search) => search.setAttribute("aria-label", "Search"));
    document.querySelectorAll(".md-code__nav").forEach((bar, at) => bar.setAttribute("aria-label", `Code ${at + 1}`));
  })
);
