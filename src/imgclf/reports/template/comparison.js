// Two runs side by side; it stands behind drawing.js in the page.
const { names, comparison } = data;

function showSides() {
  names.forEach((name, at) => {
    const { low, high } = comparison.intervals[at];
    place("sides").append(make("div", {},
      make("p", { class: "title" }, make("i", { class: `s${at}${at ? " dashed" : ""}` }), name),
      make("p", { class: "headline" }, make("strong", {}, percentOf(comparison.accuracies[at], comparison.num_images)), " ",
        make("span", {}, `95% interval ${percentOf(low, comparison.num_images)} to ${percentOf(high, comparison.num_images)}`)),
      ...(data.folders[at] === name ? [] : [make("p", { class: "note" }, data.folders[at])])));
  });
  // The part of the scale on which the two intervals lie, so that they can be told apart.
  const low = Math.max(0, Math.min(...comparison.intervals.map((item) => item.low)) - 0.05);
  const high = Math.min(1, Math.max(...comparison.intervals.map((item) => item.high)) + 0.05);
  const x = (share) => 12 + (736 * (share - low)) / (high - low);
  const summary = names.map((name, at) => `${name} ${percentOf(comparison.accuracies[at], comparison.num_images)}`).join(", ");
  const svg = draw("svg", { viewBox: "0 0 760 76", role: "img", "aria-label": `Accuracies with intervals: ${summary}` });
  comparison.accuracies.forEach((accuracy, at) => {
    const [top, interval] = [6 + 24 * at, comparison.intervals[at]];
    svg.append(draw("line", { class: "axis", x1: 12, x2: 748, y1: top + 9, y2: top + 9, "stroke-width": 3 }));
    svg.append(draw("rect", { class: `f${at}`, opacity: 0.4, x: x(interval.low), y: top + 2, width: Math.max(2, x(interval.high) - x(interval.low)), height: 14, rx: 4 }));
    svg.append(draw("line", { class: `s${at}`, x1: x(accuracy), x2: x(accuracy), y1: top - 1, y2: top + 19, "stroke-width": 4 }));
  });
  svg.append(draw("text", { x: 12, y: 72 }, percent(low, 0)), draw("text", { x: 748, y: 72, "text-anchor": "end" }, percent(high, 0)));
  place("ruler").append(svg);
  if (data.num_relabelled)
    place("warnings").append(make("p", { class: "warning" },
      `${count(data.num_relabelled)} of these images have another label in the second run; each run is measured on its own labels.`));
  for (const section of document.querySelectorAll("main section"))
    place("contents").append(make("li", {}, make("a", { href: "#" + section.id }, section.querySelector("h2").textContent)));
}

function pictureOf(item) {
  const lines = () => item.answers.flatMap(([answer, probability], at) =>
    [make("br"), make("i", { class: `s${at}${at ? " dashed" : ""}` }), ...answered(answer, probability)]);
  return { path: item.path, src: item.src, alt: `${baseName(item.path)}, a ${item.true}`, caption: () => [`is ${item.true}`, ...lines()] };
}

function showGroup(button, group) {
  for (const other of document.querySelectorAll("#agreement [aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", "true");
  place("group").replaceChildren(
    make("h3", {}, `${group.title}: ${count(group.num_images)} image${group.num_images === 1 ? "" : "s"}`),
    gallery(group.items.map(pictureOf), group.num_images));
}

function showAgreement() {
  const [onlyFirst, onlySecond, neither] = data.groups;
  const both = comparison.num_images - onlyFirst.num_images - onlySecond.num_images - neither.num_images;
  const cell = (group) => {
    if (!group.num_images) return make("td", { class: "none" }, "·");
    const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `${group.title}: ${group.num_images}` }, count(group.num_images));
    button.style.background = "rgba(var(--bad), 0.3)";
    button.addEventListener("click", () => showGroup(button, group));
    return make("td", {}, button);
  };
  place("agreement").append(make("table", { class: "matrix agreement" },
    make("thead", {}, make("tr", {}, make("td"), make("th", { scope: "col" }, `right in ${names[1]}`), make("th", { scope: "col" }, `wrong in ${names[1]}`))),
    make("tbody", {},
      make("tr", {}, make("th", { scope: "row" }, `right in ${names[0]}`), make("td", { class: "none" }, count(both)), cell(onlyFirst)),
      make("tr", {}, make("th", { scope: "row" }, `wrong in ${names[0]}`), cell(onlySecond), cell(neither)))));
}

function showClasses() {
  const difference = (row) => (row.first === null || row.second === null ? null : row.second - row.first);
  const signed = (value) => (value === null ? "–" : (value > 0 ? "+" : "") + (100 * value).toFixed(1));
  place("class-table").append(sortableTable([
    { name: "class", value: (row) => row.class_name, text: (row) => row.class_name },
    { name: names[0], value: (row) => row.first, text: (row) => percent(row.first) },
    { name: names[1], value: (row) => row.second, text: (row) => percent(row.second) },
    { name: "difference, points", value: difference, text: (row) => signed(difference(row)) },
    { name: "images", value: (row) => row.support, text: (row) => count(row.support) },
  ], data.class_recalls, 3, false));
}

function showLearning() {
  for (const [key, title] of [["val_loss", "Validation loss"], ["val_accuracy", "Validation accuracy"]]) {
    const series = data.histories.map((history, at) => ({ name: names[at], x: history.epoch, y: history[key], dashed: at === 1 }))
      .filter((line) => line.y.some((value) => value !== null));
    if (series.length) place("curves").append(lineChart({ title, series, xLabel: "epoch", summary: series.map((line) => `${line.name} ends at ${shortNumber(line.y[line.y.length - 1] ?? 0)}`).join("; ") }));
  }
}

showSides();
showAgreement();
showClasses();
showLearning();
place("settings").append(plainTable(["", ...names], data.facts, 9));
