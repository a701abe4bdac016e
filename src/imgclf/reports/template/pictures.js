// Pictures in their true shape, a few at first; a dialog shows one of them large. It stands behind
// drawing.js. A picture is {path, src, alt, overlay, overlayAlt, caption}; `caption` makes its nodes.
const [SHOWN_FIRST, SHOWN_MORE] = [12, 24];
const FEW = 6; // So few have room to be shown larger.

function figureOf(item, enlarge) {
  const missing = make("div", { class: "missing" }, "not found");
  const button = item.src && make("button", { type: "button", class: "enlarge", "aria-label": `Enlarge ${item.alt}` },
    make("img", { src: item.src, alt: item.alt }));
  if (button) button.addEventListener("click", enlarge);
  return make("figure", { title: item.path }, button || missing, make("figcaption", {}, ...item.caption()));
}

// A grid of figures with a button for the rest; `total` counts those that are not in the page, too.
function gallery(items, total) {
  const grid = make("div", { class: items.length <= FEW ? "gallery few" : "gallery" });
  const rest = make("p", { class: "note" });
  const more = make("button", { type: "button", class: "button small" });
  const show = (size) => {
    const first = grid.children.length;
    grid.append(...items.slice(first, first + size).map((item, at) => figureOf(item, () => viewer.open(items, first + at))));
    const left = items.length - grid.children.length;
    more.hidden = !left;
    more.textContent = left <= SHOWN_MORE ? `Show ${count(left)} more` : `Show more (${count(left)})`;
    rest.hidden = Boolean(left) || items.length >= total;
    rest.textContent = `${count(items.length)} of ${count(total)} are in this page.`;
    return first;
  };
  more.addEventListener("click", () => {
    const next = grid.children[show(SHOWN_MORE)];
    if (next && next.querySelector("button")) next.querySelector("button").focus();
  });
  show(SHOWN_FIRST);
  return make("div", {}, grid, more, rest);
}

const viewer = {
  open(items, at) {
    if (!this.dialog) this.make();
    [this.items, this.at] = [items.filter((item) => item.src), 0];
    this.at = Math.max(0, this.items.indexOf(items[at]));
    this.show();
    this.dialog.showModal();
  },
  make() {
    const control = (name, action) => {
      const button = make("button", { type: "button", class: "button small" }, name);
      button.addEventListener("click", action);
      return button;
    };
    this.place = make("p", { class: "note" });
    this.stage = make("div", { class: "stage" });
    this.words = make("div", { class: "words", "aria-live": "polite" });
    this.dialog = make("dialog", { class: "viewer", "aria-label": "Enlarged picture" },
      make("div", { class: "bar" }, this.place, control("Previous", () => this.step(-1)), control("Next", () => this.step(1)), control("Close", () => this.dialog.close())),
      this.stage, this.words);
    this.dialog.querySelectorAll("button")[1].autofocus = true;
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) this.step(step);
    });
    document.body.append(this.dialog);
  },
  step(by) {
    this.at = (this.at + by + this.items.length) % this.items.length;
    this.show();
  },
  show() {
    const item = this.items[this.at];
    const view = (src, alt, words) => {
      const image = make("img", { src, alt });
      // Tiny images are enlarged as the squares that they are made of.
      image.addEventListener("load", () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 64));
      return make("figure", {}, image, make("figcaption", {}, words));
    };
    this.place.textContent = `${this.at + 1} of ${this.items.length}`;
    this.stage.replaceChildren(view(item.src, item.alt, item.overlay ? "The image" : ""));
    if (item.overlay) this.stage.append(view(item.overlay, item.overlayAlt, "Where the network looked: red most, blue least"));
    this.words.replaceChildren(make("p", {}, ...item.caption()), make("p", { class: "note" }, item.path));
  },
};
