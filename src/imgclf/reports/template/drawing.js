"use strict";
// Everything from the run arrives as text and is only ever set as text: no markup is parsed here.
const data = JSON.parse(document.getElementById("page-data").textContent);
const place = (id) => document.getElementById(id);
const percent = (value, digits = 1) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : (100 * value).toFixed(digits) + "%";
// With as many digits as tell one image more or less, as shown_share in Python writes it.
const percentOf = (value, numImages) => percent(value, numImages > 1000 ? 2 : 1);
const decimal = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const count = (value) => value.toLocaleString("en");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ------------------------------------------------------------------ charts

function ticks(low, high, wanted = 5) {
  const step = 10 ** Math.floor(Math.log10((high - low) / wanted));
  const nice = [1, 2, 5, 10].map((factor) => factor * step).find((size) => (high - low) / size <= wanted + 1);
  const found = [];
  for (let value = Math.ceil(low / nice - 1e-9) * nice; value <= high + nice * 1e-6; value += nice) found.push(value);
  return found;
}

const shortNumber = (value) => {
  if (value === 0) return "0";
  return Math.abs(value) < 0.001 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
};

// Strips over a chart that show a line and tell the figures there while the pointer is on them.
function hoverBands(series, xLabel, x, top, floor) {
  const xs = series[0].x;
  if (xs.length < 2 || series.some((line) => line.x.length !== xs.length)) return [];
  return xs.map((value, at) => {
    const [before, after] = [xs[Math.max(at - 1, 0)], xs[Math.min(at + 1, xs.length - 1)]];
    const [start, end] = [x((before + value) / 2), x((value + after) / 2)];
    const figures = series.filter((line) => line.y[at] !== null).map((line) => `${line.name}: ${shortNumber(line.y[at])}`);
    return draw("g", { class: "band" },
      draw("title", {}, [`${xLabel} ${shortNumber(value)}`, ...figures].join("\n")),
      draw("rect", { x: start, width: Math.max(0, end - start), y: top, height: floor - top }),
      draw("line", { x1: x(value), x2: x(value), y1: top, y2: floor }));
  });
}

// A chart of lines over one x; `series` is [{name, x, y, dashed}], `mark` an x with a label.
function lineChart({ title, series, xLabel, xRange, yRange, mark, summary, extra }) {
  const [width, height, left, bottom, top, right] = [460, 270, 52, 40, 24, 14];
  const numbers = series.flatMap((line) => line.y).filter((value) => value !== null);
  const xs = series.flatMap((line) => line.x);
  let [xLow, xHigh] = xRange || [Math.min(...xs), Math.max(...xs)];
  let [yLow, yHigh] = yRange || [Math.min(...numbers), Math.max(...numbers)];
  if (xHigh === xLow) [xLow, xHigh] = [xLow - 0.5, xHigh + 0.5];
  if (yHigh === yLow) [yLow, yHigh] = [yLow - 0.5, yHigh + 0.5];
  else if (!yRange) [yLow, yHigh] = [yLow - 0.04 * (yHigh - yLow), yHigh + 0.04 * (yHigh - yLow)];
  const x = (value) => left + ((value - xLow) / (xHigh - xLow)) * (width - left - right);
  const y = (value) => height - bottom - ((value - yLow) / (yHigh - yLow)) * (height - bottom - top);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${summary}` });
  for (const value of ticks(yLow, yHigh)) {
    svg.append(draw("line", { class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value) }));
    svg.append(draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, shortNumber(value)));
  }
  for (const value of ticks(xLow, xHigh, 6).filter((value) => xLabel !== "epoch" || Number.isInteger(value)))
    svg.append(draw("text", { x: x(value), y: height - bottom + 18, "text-anchor": "middle" }, shortNumber(value)));
  svg.append(draw("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xLabel));
  if (mark) {
    svg.append(draw("line", { class: "mark", x1: x(mark.x), x2: x(mark.x), y1: top, y2: height - bottom }));
    const atEnd = x(mark.x) > width * 0.7;
    svg.append(draw("text", { x: x(mark.x), y: top - 8, "text-anchor": atEnd ? "end" : "start" }, mark.label));
  }
  if (extra) extra(svg, x, y);
  svg.append(...hoverBands(series, xLabel, x, top, height - bottom));
  series.forEach((line, index) => {
    const points = line.y.map((value, at) => (value === null ? null : `${x(line.x[at]).toFixed(1)},${y(value).toFixed(1)}`));
    const attributes = { class: `line s${index}`, points: points.filter(Boolean).join(" ") };
    if (line.dashed) attributes["stroke-dasharray"] = "6 5";
    svg.append(draw("polyline", attributes));
    if (line.dots || points.length === 1)
      line.y.forEach((value, at) => {
        if (value === null) return;
        const dot = draw("circle", { class: `f${index}`, cx: x(line.x[at]), cy: y(value), r: 4 });
        dot.append(draw("title", {}, line.dots ? line.dots[at] : shortNumber(value)));
        svg.append(dot);
      });
  });
  const legend = make("ul", { class: "legend" });
  series.forEach((line, index) =>
    legend.append(make("li", {}, make("i", { class: `s${index}${line.dashed ? " dashed" : ""}` }), line.name)));
  return make("figure", { class: "chart" }, make("p", { class: "title" }, title), legend, svg);
}

// ------------------------------------------------------------------ tables and images

function plainTable(headings, rows, numbersFrom = 1) {
  const kind = (index) => (index >= numbersFrom ? { class: "number" } : {});
  const head = make("tr", {}, ...headings.map((text, at) => make("th", { scope: "col", ...kind(at) }, text)));
  const body = rows.map((row) => make("tr", {}, ...row.map((text, at) => make("td", kind(at), String(text)))));
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": headings.join(", ") }, table);
}

function pairsTable(pairs) {
  const rows = pairs.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)));
  return make("table", { class: "pairs" }, make("tbody", {}, ...rows));
}

// A table whose columns sort; columns are [{name, value, text, number}]. Of many rows the first are shown.
function sortableTable(columns, rows, sortedBy, descending, most = rows.length) {
  const body = make("tbody");
  const head = make("tr");
  let [current, down] = [sortedBy, descending];
  const compare = (a, b) => {
    const [left, right] = [columns[current].value(a), columns[current].value(b)];
    if (left === null || right === null) return (left === null) - (right === null); // unknown comes last
    const order = typeof left === "string" ? left.localeCompare(right) : left - right;
    return down ? -order : order;
  };
  let shown = rows.length <= most + 3 ? rows.length : most;
  const fill = () => {
    const lines = [...rows].sort(compare).slice(0, shown).map((row) => make("tr", {}, ...columns.map((column, at) =>
      at === 0 ? make("th", { scope: "row" }, column.text(row)) : make("td", { class: "number" }, column.text(row)))));
    body.replaceChildren(...lines);
    [...head.children].forEach((cell, at) => {
      if (at === current) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  columns.forEach((column, at) => {
    const button = make("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      [current, down] = [at, at === current ? !down : at > 0];
      fill();
    });
    head.append(make("th", { scope: "col", class: at ? "number" : "" }, button));
  });
  fill();
  const table = make("table", { class: "wide" }, make("thead", {}, head), body);
  if (shown === rows.length) return table;
  const all = make("button", { type: "button", class: "button small" }, `Show all ${count(rows.length)}`);
  all.addEventListener("click", () => {
    shown = rows.length;
    all.remove();
    fill();
  });
  return make("div", {}, table, all);
}

// An answer with its probability, which stay on one line where they can.
const answered = (name, probability) => [make("b", {}, name), " ", make("span", { class: "whole" }, percent(probability))];

const baseName = (path) => path.split(/[\\/]/).pop();
