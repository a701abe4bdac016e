// ------------------------------------------------------------------ the right class of a photo

const MOST_CHIPS = 8;
const newClasses = []; // those that were given on this page
let panels = 0;

function correctionButton(photo) {
  return button(photo.kept ? "Change" : "Wrong?", () => toggleCorrection(photo), {
    "aria-expanded": String(Boolean(photo.correcting)), "data-action": "correct",
    "aria-label": `${photo.kept ? "Change" : "Wrong?"} Right class of ${photo.name}`,
  });
}

function toggleCorrection(photo) {
  const opens = !photo.correcting;
  if (photo.heatOf) removeHeat(photo);
  photo.correcting = opens;
  photo.panel.replaceChildren(...(opens ? [correctionPanel(photo)] : []));
  showAnswer(opens ? photo : refocused(photo, "correct"));
  if (opens) photo.panel.querySelector("button, input").focus();
}

function correctionPanel(photo) {
  const names = [...chosen().classes, ...newClasses];
  const panel = make("div", { class: "panel", role: "group", "aria-label": `Right class of ${photo.name}` },
    make("p", {}, "What is it? The photo is kept with your answer for the next training."));
  const first = names.length <= MOST_CHIPS ? names : Object.keys(photo.answer.probabilities);
  panel.append(make("div", { class: "row" }, ...first.map((name) => button(name, () => keep(photo, name)))));
  const id = `class-names-${panels++}`;
  const list = make("datalist", { id }, ...names.map((value) => make("option", { value })));
  const input = make("input", {
    type: "text", list: id, maxlength: "100", autocomplete: "off",
    "aria-label": "Another class", placeholder: "another class",
  });
  const form = make("form", { class: "row" }, input, make("button", { class: "button small", type: "submit" }, "Keep"), list);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) keep(photo, input.value.trim());
  });
  panel.append(form);
  panel.addEventListener("keydown", (event) => event.key === "Escape" && toggleCorrection(photo));
  return panel;
}

async function keep(photo, label) {
  try {
    await ask(addressOf("collect", { classifier: chosen().name, label }), { method: "POST", body: imageBody(photo) });
  } catch (error) {
    photo.panel.querySelector(".warning")?.remove();
    photo.panel.firstChild?.append(make("p", { class: "flag warning", role: "alert" }, error.remedy || error.message));
    return;
  }
  if (!chosen().classes.includes(label) && !newClasses.includes(label)) newClasses.push(label);
  photo.kept = label;
  photo.correcting = false;
  photo.panel.replaceChildren();
  showAnswer(refocused(photo, "correct"));
  const kept = photos.filter((one) => one.kept).length;
  say(`${photo.name} kept as ${label}: ${plural(kept, "photo")} for the next training.`);
}
