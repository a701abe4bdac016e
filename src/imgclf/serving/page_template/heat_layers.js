// ------------------------------------------------------------------ where the classifier looked

function heatButton(photo) {
  const isShown = Boolean(photo.heatOf);
  return button("Where it looked", () => toggleHeat(photo), {
    "aria-pressed": String(isShown), "data-action": "heat", "aria-label": `Where it looked: ${photo.name}`,
  });
}

async function toggleHeat(photo) {
  if (photo.heatOf) {
    removeHeat(photo);
    return showAnswer(refocused(photo, "heat"));
  }
  await drawHeat(photo, photo.answer.label);
}

function removeHeat(photo) {
  if (photo.heat) URL.revokeObjectURL(photo.heat);
  photo.frame.querySelector(".heat")?.remove();
  photo.heat = photo.heatOf = null;
  photo.panel.replaceChildren();
}

// Redrawing a card makes its buttons anew: the one that was pressed keeps the focus.
function refocused(photo, action) {
  queueMicrotask(() => photo.card.querySelector(`[data-action="${action}"]`)?.focus());
  return photo;
}

async function drawHeat(photo, label) {
  photo.heatOf = label;
  photo.correcting = false;
  const mine = round;
  showAnswer(refocused(photo, "heat"));
  const note = make("p", {}, "Drawing; the first one takes some seconds …");
  photo.panel.replaceChildren(make("div", { class: "panel" }, note));
  try {
    const address = addressOf("explain", { classifier: chosen().name, label });
    const response = await ask(address, { method: "POST", body: imageBody(photo) });
    const blob = await response.blob();
    if (mine.signal.aborted || photo.heatOf !== label) return;
    showHeat(photo, label, blob, response.headers.get("x-imgclf-method"));
  } catch (error) {
    if (photo.heatOf !== label) return;
    removeHeat(photo);
    photo.panel.replaceChildren(make("p", { class: "flag warning", role: "alert" }, error.message));
    showAnswer(photo);
  }
}

function showHeat(photo, label, blob, method) {
  if (photo.heat) URL.revokeObjectURL(photo.heat);
  photo.frame.querySelector(".heat")?.remove();
  photo.heat = URL.createObjectURL(blob);
  photo.frame.append(make("img", { class: "heat", src: photo.heat, alt: `Heat map for ${label}` }));
  const choice = make("select", { "aria-label": "Class to explain" });
  for (const name of Object.keys(photo.answer.probabilities)) {
    const option = make("option", { value: name }, name);
    option.selected = name === label;
    choice.append(option);
  }
  choice.addEventListener("change", () => drawHeat(photo, choice.value));
  photo.panel.replaceChildren(make("div", { class: "panel" },
    make("div", { class: "row" }, make("label", { class: "field" }, "Heat map for ", choice)),
    make("div", { class: "row", "aria-hidden": "true" }, "little", make("span", { class: "legend-bar" }), "most")));
  say(`${photo.name}: heat map for ${label} drawn${method === "occlusion" ? " by covering parts of the photo" : ""}.`);
}
