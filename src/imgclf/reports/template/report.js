// The sections of a run's report; it stands behind drawing.js and pictures.js in the page.
const IN_FULL = 20; // Larger matrices scroll in a box.
const WITH_SHARES = 4; // Smaller ones also show the share of each row.
const CLASSES_SHOWN = 12;
const FEWEST_OF_A_DOT = 5; // The share of fewer images says nothing.

// Writes what a folded part holds beside its title.
const gist = (id, text) => (place(id).querySelector("summary span").textContent = text);

function pictureOf(index, doubted) {
  const image = data.images[index];
  const [truth, answer] = [data.classes[image.true], data.classes[image.predicted]];
  const wrong = image.true !== image.predicted;
  return {
    path: image.path, src: image.src, alt: `${baseName(image.path)}, ${doubted ? "labelled" : "a"} ${truth}`,
    overlay: image.overlay, overlayAlt: `Where the network saw ${answer}`,
    caption: () => [...answered(answer, image.probability), ...(wrong ? [make("br"), `${doubted ? "labelled" : "actually"} ${truth}`] : []),
      ...(doubted && image.held_out === "validation" ? [" (validation)"] : [])],
  };
}

// ------------------------------------------------------------------ sections

const ofImages = (share) => percentOf(share, data.headline.num_images);

function showSummary() {
  const head = data.headline;
  for (const text of data.warnings) place("warnings").append(make("p", { class: "warning" }, text));
  const guessing = head.majority.accuracy;
  const band = make("i", { class: "band" });
  const [mark, guess] = [make("i", { class: "mark" }), make("i", { class: "guess" })];
  const at = (element, share) => (element.style.left = `${100 * share}%`);
  at(band, head.low);
  band.style.width = `${100 * (head.high - head.low)}%`;
  at(mark, head.accuracy);
  at(guess, guessing);
  // A label stands beside its mark, on the side where there is room.
  const label = (share, text, kind = "label") => {
    const element = make("span", { class: kind }, text);
    if (share > 0.5) element.style.right = `${100 * (1 - share)}%`;
    else at(element, share);
    return element;
  };
  const ends = [0, 1].filter((end) => Math.abs(end - guessing) > 0.3).map((end) => label(end, `${100 * end}%`));
  place("ruler").append(make("div", { class: "track", role: "img",
    "aria-label": `Accuracy ${ofImages(head.accuracy)}, interval ${ofImages(head.low)} to ${ofImages(head.high)}; always answering ${head.majority.name} gives ${ofImages(guessing)}` },
    band, guess, mark, label(guessing, `guessing ${ofImages(guessing)}`), ...ends,
    label(head.accuracy > 0.5 ? head.high : head.low, `this classifier ${ofImages(head.low)} to ${ofImages(head.high)}`, "label above")));
}

function showFigures() {
  const head = data.headline;
  const rows = [
    [`Always answering ${head.majority.name}`, ofImages(head.majority.accuracy)],
    ["Comparing tiny thumbnails only", head.nearest_mean_accuracy === null ? null : ofImages(head.nearest_mean_accuracy)],
    ["Balanced accuracy", ofImages(head.balanced_accuracy)],
    ["Macro F1", decimal(head.macro_f1)],
    ["Top-3", head.top_3_accuracy === null ? null : ofImages(head.top_3_accuracy)],
    ["Top-5", head.top_5_accuracy === null ? null : ofImages(head.top_5_accuracy)],
    ["ROC AUC", decimal(head.roc_auc)],
    ["Average precision", decimal(head.average_precision)],
    ["Log loss", decimal(head.log_loss)],
    ["Brier score", decimal(head.brier_score)],
    ["Calibration error", decimal(head.ece)],
  ].filter(([, value]) => value !== null);
  place("figures").append(pairsTable(rows));
  gist("figures", `balanced accuracy ${ofImages(head.balanced_accuracy)}, macro F1 ${decimal(head.macro_f1)}`);
}

function showLearning() {
  const { epochs, columns, best_epoch: best, learning_rates: rates } = data.history;
  const mark = best ? { x: best, label: `best: ${best}` } : null;
  const last = (values) => shortNumber(values[values.length - 1]);
  for (const sentence of data.course) place("learning").insertBefore(make("p", {}, sentence), place("curves"));
  const once = data.course.length ? "the head of a pretrained network" : "1 epoch";
  gist("learning", epochs.length < 2 ? once : best ? `best epoch ${best} of ${epochs.length}` : `${epochs.length} epochs`);
  if (epochs.length < 2) {
    const figures = Object.entries(columns).filter(([, values]) => values[0] !== null && values[0] !== undefined);
    place("learning").append(make("p", { class: "note" }, "Figures: " + figures.map(([name, values]) => `${name.replace("val_", "validation ")} ${name.endsWith("accuracy") ? percent(values[0]) : shortNumber(values[0])}`).join(", ") + "."));
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

// ------------------------------------------------------------------ mistakes

// Shows a set of pictures, and presses the filter or cell that it was chosen by, if it is one.
function showPictures(chosen, title, note, indices, total, doubted) {
  for (const other of document.querySelectorAll("#mistakes [aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
  if (chosen) chosen.setAttribute("aria-pressed", "true");
  const items = indices.map((index) => pictureOf(index, doubted));
  if (!items.length) return place("pictures").replaceChildren(make("p", {}, total ? "Not in this page." : "None: every answer is right."));
  place("pictures").replaceChildren(make("p", { class: "hint" }, ...(title ? [make("b", {}, title), " "] : []), note), gallery(items, total));
}

function showCell(button, row, column) {
  const total = data.confusion[row][column];
  const words = row === column ? `${data.classes[row]}, recognised` : `${data.classes[row]} taken for ${data.classes[column]}`;
  showPictures(button, `${words}: ${count(total)} image${total === 1 ? "" : "s"}.`,
    row === column ? "Least sure first." : "Surest first.", data.cells[`${row},${column}`] || [], total, false);
}

function showFilters() {
  for (const { key, title, note, num_images: total, items } of data.groups) {
    const button = make("button", { type: "button", class: "filter", "aria-pressed": "false" }, title, " ", make("span", {}, count(total)));
    const show = () => showPictures(button, "", note, items, total, key === "labels");
    button.addEventListener("click", show);
    place("filters").append(button);
    if (key === "mistakes") show();
  }
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
  const size = data.classes.length;
  const axis = make("tr", {}, make("td"), make("th", { class: "axis", scope: "colgroup", colspan: size }, "predicted"));
  const head = make("tr", {}, make("td", { class: "axis" }, "true"), ...data.classes.map((name) => make("th", { scope: "col", title: name }, make("div", {}, name))));
  const body = make("tbody");
  data.confusion.forEach((counts, row) => {
    const sum = counts.reduce((total, value) => total + value, 0);
    const line = make("tr", {}, make("th", { scope: "row", title: data.classes[row] }, make("div", {}, data.classes[row])));
    counts.forEach((value, column) => {
      if (!value) return line.append(make("td", {}, make("span", { class: "none" })));
      const button = make("button", { type: "button", "aria-pressed": "false", "data-row": row, "data-column": column,
        title: `${count(value)} of ${count(sum)} ${data.classes[row]} predicted as ${data.classes[column]} (${percent(value / sum)})`,
        "aria-label": `${data.classes[row]} predicted as ${data.classes[column]}: ${value}` }, String(value));
      if (size <= WITH_SHARES) button.append(make("small", {}, percent(value / sum)));
      const strength = row === column ? 0.08 + 0.46 * (value / sum) ** 1.5 : 0.12 + 0.38 * Math.sqrt(value / sum);
      button.style.background = `rgba(var(--${row === column ? "good" : "bad"}), ${strength.toFixed(2)})`;
      button.addEventListener("click", () => showCell(button, row, column));
      line.append(make("td", {}, button));
    });
    body.append(line);
  });
  const isShort = Math.max(...data.classes.map((name) => name.length)) <= 8 && size <= 4; // Such names need no turning.
  const table = make("table", { class: `matrix${size > IN_FULL ? " many" : ""}${isShort ? " short" : ""}` }, make("thead", {}, axis, head), body);
  const style = place("matrix").parentElement.style;
  style.setProperty("--classes", Math.min(size, IN_FULL));
  style.setProperty("--largest", `${size <= WITH_SHARES ? 88 : 64}px`);
  const names = Math.max(64, Math.min(130, 16 + 8 * Math.max(...data.classes.map((name) => name.length))));
  style.setProperty("--longest", `${names}px`);
  style.setProperty("--matrix-width", `${names + 24 + size * (size <= WITH_SHARES ? 90 : 50)}px`);
  table.addEventListener("keydown", moveFocus);
  if (size > IN_FULL) place("matrix").classList.add("tall");
  place("matrix").append(table);
}

function showReliability() {
  const { confidence, accuracy, num_images: sizes } = data.reliability;
  const enough = sizes.map((size, at) => at).filter((at) => sizes[at] >= FEWEST_OF_A_DOT);
  const filled = enough.length ? enough : sizes.map((size, at) => at).filter((at) => sizes[at]);
  const largest = Math.max(...sizes);
  gist("trust", `calibration error ${decimal(data.headline.ece)}, 0 is perfect`);
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
  const side = make("div", {}, make("p", {}, `Calibration error here: ${decimal(data.headline.ece)} (0 is perfect). Bars show how many images state such a probability; a dot stands for ${FEWEST_OF_A_DOT} images or more.`));
  const fitted = data.calibration;
  if (fitted) {
    side.append(make("p", {}, `A temperature of ${shortNumber(fitted.temperature)} was fitted on ${count(fitted.num_images)} validation images; it changes no answer. What it did there:`));
    side.append(plainTable(["figure", "before", "after"], [
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
  const sure = chosen.find((row) => row.coverage < 1) || chosen[chosen.length - 1];
  if (sure && sure.coverage < 0.995) gist("threshold", `${percent(sure.min_precision, 0)} right without the ${percent(1 - sure.coverage, 0)} that it is least sure of`);
  else if (sure) gist("threshold", `sure enough of every answer for ${percent(sure.min_precision, 0)} right`);
  else gist("threshold", "it is never sure enough");
  const entry = (name, value, small) => make("div", {}, make("dt", {}, name), make("dd", {}, value, " ", make("small", {}, small)));
  const update = () => {
    const at = Number(input.value);
    place("slider-value").textContent = at + "%";
    input.setAttribute("aria-valuetext", at + "%");
    figures.replaceChildren(
      entry("Precision", percent(answered[at] ? correct[at] / answered[at] : null), "of the answers are right"),
      entry("Coverage", percent(answered[at] / total), `${count(answered[at])} of ${count(total)} answered`),
      entry("Recall", percent(correct[at] / total), "of all images answered correctly"));
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
    place("tradeoff").append(make("div", {}, make("p", { class: "hint" }, "Thresholds in the classifier's file, found on the validation images, for --min-precision:"),
      plainTable(["precision asked", "threshold", "answered"], chosen.filter((row, at) => chosen[at + 1]?.value !== row.value).map((row) => [percent(row.min_precision), percent(row.value), percent(row.coverage)]))));
}

function showCurves() {
  if (!data.curves) return;
  const { roc_auc: area, average_precision: average } = data.headline;
  const name = data.classes[1];
  place("finding").append(make("h4", {}, `Finding ${name} at every threshold`), make("div", { class: "charts" },
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
    columns.push({ name: name === "f1" ? "F1" : name, value: (row) => row[name], text: (row) => (name === "f1" ? decimal : percent)(row[name]) });
  columns.push({ name: "images", value: (row) => row.support, text: (row) => count(row.support) });
  place("class-table").append(sortableTable(columns, data.class_figures, 2, false, CLASSES_SHOWN));
}

function showUses() {
  const list = make("dl", { class: "uses" });
  for (const { what, command } of data.uses) {
    const words = command.flatMap((word) => [make("span", { class: "word" }, word), " "]);
    list.append(make("dt", {}, what), make("dd", {}, make("pre", { tabindex: "0" }, ...words.slice(0, -1))));
  }
  place("use").append(list);
}

function showData() {
  const { splits, quarantined, num_quarantined: total, left_out: left, num_leaked: leaked, folder } = data.data;
  const names = Object.keys(splits);
  const rows = data.classes.map((name, at) => [name, ...names.map((split) => count(splits[split][at]))]);
  const sums = names.map((split) => count(splits[split].reduce((sum, value) => sum + value, 0)));
  const section = place("data");
  const words = { train: "training", val: "validation", test: "test" };
  gist("data", names.map((split, at) => `${sums[at]} ${words[split] || split}`).join(", "));
  section.append(make("p", {}, `From ${folder}.`), plainTable(["class", ...names], [...rows, ["all", ...sums]]));
  section.append(make("p", {}, leaked ? `${count(leaked)} held-out images were left out because training images have the same content.` : "No held-out image has the same content as a training image."));
  const others = Object.entries(left).map(([reason, size]) => `${count(size)} ${reason.replaceAll("_", " ")}`);
  if (others.length) section.append(make("p", {}, `Not used: ${others.join(", ")}.`));
  section.append(total ? make("h4", {}, `Unusable files: ${count(total)}`) : make("p", {}, "Every file could be used."));
  if (total) section.append(plainTable(["file", "reason", "what is wrong"], quarantined.map((item) => [item.path, item.reason, item.message]), 9));
}

function showModel() {
  const section = place("model");
  const facts = Object.fromEntries(data.model.facts);
  gist("model", `${facts.architecture}, ${facts.parameters} parameters, ${facts["classifier's file"]}`);
  section.append(pairsTable(data.model.facts));
  const layers = data.model.layers.map((layer) => [layer.name, layer.type, layer.shape, count(layer.parameters)]);
  const table = plainTable(["layer", "type", "output", "parameters"], layers, 2);
  table.classList.add("tall");
  section.append(make("details", {}, make("summary", {}, `${layers.length} layers`), table));
}

function showExports() {
  const { rows, sources } = data.exports;
  place("exports").hidden = !rows.length;
  if (!rows.length) return;
  gist("exports", `${rows.length} file${rows.length === 1 ? "" : "s"}, each compared with this classifier`);
  place("exports").append(
    make("p", {}, `Each was run in its own runtime on ${sources.join("; ")}. Same answer: share of the images with the same class; difference: the largest of a probability.`),
    plainTable(["file", "format", "size", "same answer", "difference", "accuracy", "images/s, 1 / 32 at a time"], rows, 2));
}

function showReproduction() {
  const section = place("reproduce");
  gist("reproduce", "command, versions, checksums");
  const words = data.reproduce.command.flatMap((word) => [make("span", { class: "word" }, word), " "]);
  section.append(make("pre", { tabindex: "0" }, ...words.slice(0, -1)));
  for (const remark of data.reproduce.remarks) section.append(make("p", {}, remark));
  section.append(pairsTable(data.reproduce.facts));
}

showSummary();
showMatrix();
showFilters();
showClasses();
showUses();
showFigures();
showLearning();
showReliability();
showThreshold();
showCurves();
showData();
showModel();
showExports();
showReproduction();
// Paper shows what is folded, too.
addEventListener("beforeprint", () => document.querySelectorAll("#details > details").forEach((part) => (part.open = true)));
