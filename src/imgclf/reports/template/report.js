// The sections of a run's report; it stands behind drawing.js in the page.
function imageFigure(image, overlay, doubted) {
  const [truth, answer] = [data.classes[image.true], data.classes[image.predicted]];
  const pictures = make("div", { class: "pictures" }, picture(image.src, `${baseName(image.path)}, a ${truth}`));
  if (overlay) pictures.append(picture(overlay, `Where the network saw ${answer}`));
  const words = answered(answer, image.probability);
  if (image.true !== image.predicted) words.push(make("br"), `${doubted ? "labelled" : "is"} ${truth}`);
  return make("figure", { title: image.path }, pictures,
    make("figcaption", {}, ...words, make("br"), baseName(image.path)));
}

// ------------------------------------------------------------------ sections

function showSummary() {
  const head = data.headline;
  const facts = [
    ["Most frequent class", percent(head.majority.accuracy)],
    ["Nearest mean thumbnail", head.nearest_mean_accuracy === null ? null : percent(head.nearest_mean_accuracy)],
    ["Balanced accuracy", percent(head.balanced_accuracy)],
    ["Macro F1", decimal(head.macro_f1)],
    ["Top-3", head.top_3_accuracy === null ? null : percent(head.top_3_accuracy)],
    ["Top-5", head.top_5_accuracy === null ? null : percent(head.top_5_accuracy)],
    ["ROC AUC", decimal(head.roc_auc)],
    ["Average precision", decimal(head.average_precision)],
    ["Log loss", decimal(head.log_loss)],
    ["Brier score", decimal(head.brier_score)],
  ];
  for (const [name, value] of facts)
    if (value !== null) place("facts").append(make("li", {}, make("span", {}, name + " "), make("b", {}, value)));
  for (const text of data.warnings) place("warnings").append(make("p", { class: "warning" }, text));
  const x = (share) => 10 + 740 * share;
  const svg = draw("svg", { viewBox: "0 0 760 82", role: "img",
    "aria-label": `Accuracy ${percent(head.accuracy)}, interval ${percent(head.low)} to ${percent(head.high)}, most frequent class ${percent(head.majority.accuracy)}` });
  svg.append(draw("line", { class: "axis", x1: x(0), x2: x(1), y1: 42, y2: 42, "stroke-width": 6, "stroke-linecap": "round" }));
  svg.append(draw("rect", { class: "f0", x: x(head.low), y: 34, width: Math.max(2, x(head.high) - x(head.low)), height: 16, rx: 4, opacity: 0.4 }));
  svg.append(draw("line", { class: "s0", x1: x(head.accuracy), x2: x(head.accuracy), y1: 28, y2: 56, "stroke-width": 4 }));
  svg.append(draw("line", { class: "s1", x1: x(head.majority.accuracy), x2: x(head.majority.accuracy), y1: 30, y2: 54, "stroke-width": 3 }));
  svg.append(draw("text", { x: x(0), y: 76 }, "0 %"), draw("text", { x: x(1), y: 76, "text-anchor": "end" }, "100 %"));
  // Above the line, where it meets no end of the scale; never over the page's edge.
  const side = head.majority.accuracy < 0.1 ? "start" : head.majority.accuracy > 0.9 ? "end" : "middle";
  svg.append(draw("text", { x: x(head.majority.accuracy), y: 22, "text-anchor": side }, "guessing"));
  place("ruler").append(svg);
  for (const section of document.querySelectorAll("main section"))
    place("contents").append(make("li", {}, make("a", { href: "#" + section.id }, section.querySelector("h2").textContent)));
}

function showLearning() {
  const { epochs, columns, best_epoch: best, learning_rates: rates } = data.history;
  const mark = best ? { x: best, label: `best: ${best}` } : null;
  const last = (values) => shortNumber(values[values.length - 1]);
  for (const sentence of data.course) place("learning").insertBefore(make("p", {}, sentence), place("curves"));
  if (epochs.length < 2) {
    const figures = Object.entries(columns).filter(([, values]) => values[0] !== null && values[0] !== undefined);
    place("learning").append(make("p", {}, figures.map(([name, values]) => `${name.replace("val_", "validation ")} ${shortNumber(values[0])}`).join(", ") + "."));
    return;
  }
  for (const name of ["loss", "accuracy"]) {
    const hasFigures = (values) => values && values.some((value) => value !== null);
    const series = [["validation", columns["val_" + name]], ["training", columns[name]]]
      .filter(([, values]) => hasFigures(values))
      .map(([label, values], at) => ({ name: label, x: epochs, y: values, dashed: at === 1 }));
    if (!series.length) continue;
    const summary = series.map((line) => `${line.name}: from ${shortNumber(line.y[0])} to ${last(line.y)}`).join("; ");
    place("curves").append(lineChart({ title: name === "loss" ? "Loss" : "Accuracy", series, xLabel: "epoch", mark, summary }));
  }
  if (rates.length)
    place("curves").append(lineChart({ title: "Learning rate", xLabel: "epoch", yRange: [0, Math.max(...rates.map((at) => at[1])) * 1.05],
      series: [{ name: "learning rate", x: rates.map((at) => at[0]), y: rates.map((at) => at[1]) }],
      summary: `highest ${shortNumber(Math.max(...rates.map((at) => at[1])))}` }));
  place("learning").append(make("p", { class: "note" }, "Figures of the training itself, in training precision. With dropout and augmented images, training figures are often the lower ones."));
}

function showCell(button, row, column) {
  for (const other of document.querySelectorAll(".matrix [aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", "true");
  const indices = data.cells[`${row},${column}`] || [];
  const total = data.confusion[row][column];
  const words = row === column ? `${data.classes[row]}, recognised` : `${data.classes[row]} taken for ${data.classes[column]}`;
  const shown = indices.length < total ? `, ${count(indices.length)} of them shown` : "";
  const gallery = make("div", { class: "gallery" }, ...indices.map((index) => imageFigure(data.images[index])));
  place("cell").replaceChildren(make("h3", {}, `${words}: ${count(total)} image${total === 1 ? "" : "s"}${shown}`), gallery);
}

// Moves to the nearest cell with images in the arrow's direction, straight ahead if there is one.
function moveFocus(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const from = event.target.dataset;
  if (!step || from.row === undefined) return;
  let [nearest, least] = [null, Infinity];
  for (const button of document.querySelectorAll(".matrix button")) {
    const [down, right] = [button.dataset.row - from.row, button.dataset.column - from.column];
    const ahead = down * step[0] + right * step[1];
    const aside = Math.abs(down * step[1]) + Math.abs(right * step[0]);
    if (ahead > 0 && ahead + 1000 * aside < least) [nearest, least] = [button, ahead + 1000 * aside];
  }
  if (!nearest) return;
  event.preventDefault();
  nearest.focus();
}

function showMatrix() {
  const many = data.classes.length > 20;
  const head = make("tr", {}, make("td"), ...data.classes.map((name) => make("th", { scope: "col", title: name }, make("div", {}, name))));
  const body = make("tbody");
  data.confusion.forEach((counts, row) => {
    const sum = counts.reduce((total, value) => total + value, 0);
    const line = make("tr", {}, make("th", { scope: "row", title: data.classes[row] }, data.classes[row]));
    counts.forEach((value, column) => {
      if (!value) return line.append(make("td", { class: "none" }, "·"));
      const button = make("button", { type: "button", "aria-pressed": "false", "data-row": row, "data-column": column,
        "aria-label": `${data.classes[row]} predicted as ${data.classes[column]}: ${value}` }, String(value));
      const strength = (row === column ? 0.12 : 0.18) + 0.34 * Math.sqrt(value / sum);
      button.style.background = `rgba(var(--${row === column ? "good" : "bad"}), ${strength.toFixed(2)})`;
      button.addEventListener("click", () => showCell(button, row, column));
      line.append(make("td", {}, button));
    });
    body.append(line);
  });
  const isShort = data.classes.join("").length <= 24; // Such names fit above their columns unturned.
  const table = make("table", { class: `matrix${many ? " many" : ""}${isShort ? " short" : ""}` }, make("thead", {}, head), body);
  table.addEventListener("keydown", moveFocus);
  place("matrix").append(table);
  if (data.confused.length) {
    const pairs = data.confused.map((pair) => [data.classes[pair[0]], data.classes[pair[1]], count(pair[2])]);
    place("mistakes").append(make("h3", {}, "Most confused"), plainTable(["true", "predicted as", "images"], pairs, 2));
  }
}

function showGalleries() {
  for (const { title, note, items, labels_doubted: doubted } of data.galleries) {
    const withOverlay = items.some((item) => item.overlay);
    const figures = items.map((item) => imageFigure(data.images[item.image], item.overlay, doubted));
    place("galleries").append(make("h3", {}, title), make("p", { class: "hint" }, items.length ? note : "None."),
      make("div", { class: withOverlay ? "gallery pairs" : "gallery" }, ...figures));
  }
}

function showReliability() {
  const { confidence, accuracy, num_images: sizes } = data.reliability;
  const filled = sizes.map((size, at) => at).filter((at) => sizes[at]);
  const largest = Math.max(...sizes);
  const bars = (svg, x, y) => {
    sizes.forEach((size, at) => {
      if (!size) return;
      const [start, end] = [x(at / sizes.length), x((at + 1) / sizes.length)];
      const height = (0.3 * (y(0) - y(1)) * size) / largest;
      const bar = draw("rect", { class: "f0", opacity: 0.16, x: start + 1, width: end - start - 2, y: y(0) - height, height });
      bar.append(draw("title", {}, `${count(size)} images`));
      svg.append(bar);
    });
  };
  place("reliability").append(lineChart({
    title: "Reliability", xLabel: "stated probability", xRange: [0, 1], yRange: [0, 1], extra: bars,
    summary: `Calibration error ${decimal(data.headline.ece)}`,
    series: [
      { name: "share that is right", x: filled.map((at) => confidence[at]), y: filled.map((at) => accuracy[at]),
        dots: filled.map((at) => `${count(sizes[at])} images: ${percent(confidence[at])} stated, ${percent(accuracy[at])} right`) },
      { name: "perfectly calibrated", x: [0, 1], y: [0, 1], dashed: true },
    ],
  }));
  const side = make("div", {}, make("p", {}, `Calibration error here: ${decimal(data.headline.ece)} (0 is perfect). Bars show how many images state such a probability.`));
  const fitted = data.calibration;
  if (fitted) {
    side.append(make("p", {}, `A temperature of ${shortNumber(fitted.temperature)} was fitted on ${count(fitted.num_images)} validation images; it changes no answer. What it did there:`));
    side.append(plainTable(["", "before", "after"], [
      ["calibration error", decimal(fitted.ece_before), decimal(fitted.ece_after)],
      ["log loss", decimal(fitted.log_loss_before), decimal(fitted.log_loss_after)],
    ]));
  }
  place("reliability").append(side);
}

function showThreshold() {
  const { answered, correct, total, chosen } = data.slider;
  const input = place("slider");
  const figures = place("slider-figures");
  const entry = (name, value, small) => make("div", {}, make("dt", {}, name), make("dd", {}, value, " ", make("small", {}, small)));
  const update = () => {
    const at = Number(input.value);
    place("slider-value").textContent = at + " %";
    input.setAttribute("aria-valuetext", at + " %");
    figures.replaceChildren(
      entry("Precision", percent(answered[at] ? correct[at] / answered[at] : null), "of the answers are right"),
      entry("Coverage", percent(answered[at] / total), `${count(answered[at])} of ${count(total)} answered`),
      entry("Recall", percent(correct[at] / total), "of all images answered rightly"));
  };
  input.addEventListener("input", update);
  update();
  const xs = answered.map((_, at) => at);
  place("tradeoff").append(lineChart({
    title: "Precision and coverage", xLabel: "threshold, %", yRange: [0, 1], xRange: [0, 100], summary: "as the slider tells",
    series: [{ name: "precision", x: xs, y: answered.map((size, at) => (size ? correct[at] / size : null)) },
      { name: "coverage", x: xs, y: answered.map((size) => size / total), dashed: true }],
  }));
  if (chosen.length)
    place("tradeoff").append(make("div", {}, make("p", { class: "hint" }, "Thresholds in the bundle, found on the validation images, for --min-precision:"),
      plainTable(["precision asked", "threshold", "answered"], chosen.map((row) => [percent(row.min_precision), percent(row.value), percent(row.coverage)]))));
}

function showCurves() {
  if (!data.curves) return;
  const { roc_auc: area, average_precision: average } = data.headline;
  const name = data.classes[1];
  place("finding").append(make("h3", {}, `Finding ${name} at every threshold`), make("div", { class: "charts" },
    lineChart({ title: "ROC curve", xLabel: "false alarms among the others", xRange: [0, 1], yRange: [0, 1],
      summary: `Area ${decimal(area)}`,
      series: [{ name: `found (area ${decimal(area)})`, x: data.curves.false_positive_rate, y: data.curves.true_positive_rate },
        { name: "guessing", x: [0, 1], y: [0, 1], dashed: true }] }),
    lineChart({ title: "Precision and recall", xLabel: "recall", xRange: [0, 1], yRange: [0, 1],
      summary: `Average precision ${decimal(average)}`,
      series: [{ name: `precision (average ${decimal(average)})`, x: data.curves.recall, y: data.curves.precision }] })));
}

function showClasses() {
  const columns = [{ name: "class", value: (row) => row.class_name, text: (row) => row.class_name }];
  for (const name of ["precision", "recall", "f1"])
    columns.push({ name: name === "f1" ? "F1" : name, value: (row) => row[name], text: (row) => percent(row[name]) });
  columns.push({ name: "images", value: (row) => row.support, text: (row) => count(row.support) });
  place("class-table").append(sortableTable(columns, data.class_figures, 2, false));
}

function showData() {
  const { splits, quarantined, num_quarantined: total, left_out: left, num_leaked: leaked, folder } = data.data;
  const names = Object.keys(splits);
  const rows = data.classes.map((name, at) => [name, ...names.map((split) => count(splits[split][at]))]);
  const sums = names.map((split) => count(splits[split].reduce((sum, value) => sum + value, 0)));
  const section = place("data");
  section.append(make("p", {}, `From ${folder}.`), plainTable(["class", ...names], [...rows, ["all", ...sums]]));
  section.append(make("p", {}, leaked ? `${count(leaked)} held-out images were left out because training images have the same content.` : "No held-out image has the same content as a training image."));
  const others = Object.entries(left).map(([reason, size]) => `${count(size)} ${reason.replaceAll("_", " ")}`);
  if (others.length) section.append(make("p", {}, `Not used: ${others.join(", ")}.`));
  section.append(make("h3", {}, `Unusable files: ${count(total)}`));
  if (total) section.append(plainTable(["file", "reason", "what is wrong"], quarantined.map((item) => [item.path, item.reason, item.message]), 9));
}

function showModel() {
  const section = place("model");
  section.append(pairsTable(data.model.facts));
  const layers = data.model.layers.map((layer) => [layer.name, layer.type, layer.shape, count(layer.parameters)]);
  section.append(make("details", {}, make("summary", {}, `${layers.length} layers`), plainTable(["layer", "type", "output", "parameters"], layers, 2)));
}

function showReproduction() {
  const section = place("reproduce");
  const words = data.reproduce.command.flatMap((word) => [make("span", { class: "word" }, word), " "]);
  section.append(make("pre", { tabindex: "0" }, ...words.slice(0, -1)));
  for (const remark of data.reproduce.remarks) section.append(make("p", {}, remark));
  section.append(pairsTable(data.reproduce.facts));
}

showSummary();
showLearning();
showMatrix();
showGalleries();
showReliability();
showThreshold();
showCurves();
showClasses();
showData();
showModel();
showReproduction();
