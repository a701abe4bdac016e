// ------------------------------------------------------------------ photos and their answers

const MOST_BARS = 5;
const MOST_IN_A_GROUP = 8;
const MOST_GROUP_BYTES = 8_000_000;
const GROUPS_AT_ONCE = 2;

const photos = []; // newest first: {file, name, card, answer, failure, heat, kept}
let waiting = [];
let running = 0;
let round = new AbortController(); // ended by "Remove all" and by another classifier

const isUnsure = (photo) => photo.answer && photo.answer.probability < unsureBelow();
const isUnfamiliar = (photo) => photo.answer && photo.answer.unfamiliar;

const FILTERS = {
  all: ["All", () => true],
  unsure: ["Unsure", isUnsure],
  unfamiliar: ["Unfamiliar", isUnfamiliar],
  failed: ["No answer", (photo) => photo.failure],
};
let filter = "all";

// ------------------------------------------------------------------ one card

function newPhoto(file) {
  const name = file.name || "pasted photo";
  const photo = { file, name };
  photo.frame = make("div", { class: "frame" });
  photo.body = make("div");
  photo.card = make("li", { class: "photo", "aria-busy": "true" },
    photo.frame, make("p", { class: "name", title: name }, name), photo.body);
  return photo;
}

async function showPreview(photo) {
  let bitmap;
  try {
    bitmap = await openBitmap(photo.file);
  } catch {
    // Not every format that the server reads is one that browsers show.
    photo.frame.prepend(make("div", { class: "blank" }, "No preview"));
    return;
  }
  const canvas = thumbnail(bitmap, photo.name);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.85));
  photo.preview = URL.createObjectURL(blob);
  photo.frame.prepend(make("img", { src: photo.preview, alt: photo.name, loading: "lazy", decoding: "async" }));
}

// Previews are made a few at a time, those that came first on top.
let previews = Promise.resolve();
const previewLater = (photo) => {
  previews = previews.then(() => photos.includes(photo) && showPreview(photo)).catch((error) => complain(error.message));
};

function tagsOf(photo) {
  const tags = [];
  if (isUnfamiliar(photo)) tags.push(make("li", { class: "tag", title: "Unlike the training images: the answer may mean nothing." }, "Unfamiliar"));
  if (isUnsure(photo)) tags.push(make("li", { class: "tag" }, "Unsure"));
  if (photo.kept) tags.push(make("li", { class: "tag kept" }, `Kept as ${photo.kept}`));
  return tags.length ? [make("ul", { class: "tags" }, ...tags)] : [];
}

function button(text, act, attributes = {}) {
  const made = make("button", { class: "button small", type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

// What changes with the answer, its correction and the threshold; an open panel stays.
function showAnswer(photo) {
  const { card, body, answer, failure } = photo;
  card.setAttribute("aria-busy", String(!answer && !failure));
  card.classList.toggle("is-unsure", Boolean(isUnsure(photo)));
  if (failure) {
    body.replaceChildren(
      make("p", { class: "flag warning" }, make("b", {}, "No answer. "), failure),
      make("div", { class: "actions" }, button("Try again", () => enqueue([photo]), { "aria-label": `Try again: ${photo.name}` })));
  } else if (answer) {
    card.dataset.label = answer.label;
    const bars = Object.entries(answer.probabilities).map(([name, probability]) => share(name, probability));
    photo.panel ||= make("div");
    body.replaceChildren(
      make("h3", {}, ...answered(answer.label, answer.probability)), ...tagsOf(photo),
      make("ul", { class: "shares", "aria-label": "Probabilities" }, ...bars), actionsOf(photo), photo.panel);
  } else body.replaceChildren();
}

function actionsOf(photo) {
  const actions = [];
  if (features.explains) actions.push(heatButton(photo));
  if (features.collects) actions.push(correctionButton(photo));
  return make("div", { class: "actions" }, ...actions);
}

// ------------------------------------------------------------------ the whole gallery

function showFilters() {
  const kinds = Object.entries(FILTERS).map(([key, [title, applies]]) => [key, title, photos.filter(applies).length]);
  if (!kinds.find(([key, , number]) => key === filter && number)) filter = "all";
  const focused = document.activeElement && document.activeElement.dataset.filter;
  const shown = kinds.filter(([key, , number]) => number && (key !== "all" || kinds.filter((kind) => kind[2]).length > 1));
  place("filters").replaceChildren(...shown.map(([key, title, number]) => {
    const made = button(title, () => chooseFilter(key), { "aria-pressed": String(key === filter), "data-filter": key });
    made.append(make("span", { class: "number" }, count(number)));
    return made;
  }));
  if (photos.filter((photo) => photo.failure).length > 1) place("filters").append(button("Try all again", retryAll));
  if (focused) place("filters").querySelector(`[data-filter="${focused}"]`)?.focus();
  let visible = 0;
  for (const photo of photos) {
    photo.card.hidden = !FILTERS[filter][1](photo);
    visible += !photo.card.hidden;
  }
  place("none-shown").hidden = visible > 0 || !photos.length;
}

function chooseFilter(key) {
  filter = key;
  showFilters();
}

function showGallery() {
  place("answers").hidden = !photos.length;
  document.body.classList.toggle("some", photos.length > 0);
  showFilters();
}

function showAll() {
  for (const photo of photos) if (photo.answer) showAnswer(photo);
  showFilters();
}

const isOpen = (photo) => !photo.answer && !photo.failure;

function report(batch) {
  const [open, failed] = [batch.filter(isOpen).length, batch.filter((photo) => photo.failure).length];
  const done = batch.length - open - failed;
  if (open) return say(`${count(done)} of ${plural(batch.length, "photo")} classified …`);
  if (batch.length === 1 && done) {
    const { name, answer } = batch[0];
    return say(`${name}: ${answer.label}, ${percent(answer.probability)}.`);
  }
  const parts = [`${plural(done, "photo")} classified`];
  for (const [key, text] of [["unfamiliar", "unfamiliar"], ["unsure", "unsure"]]) {
    const number = batch.filter(FILTERS[key][1]).length;
    if (number) parts.push(`${count(number)} ${text}`);
  }
  if (failed) parts.push(`${plural(failed, "file")} not`);
  say(parts.join(", ") + ".");
}

// ------------------------------------------------------------------ from files to answers

function nextGroup() {
  const group = [];
  let bytes = 0;
  while (waiting.length && group.length < MOST_IN_A_GROUP) {
    bytes += waiting[0].file.size;
    if (group.length && (bytes > MOST_GROUP_BYTES || waiting[0].alone || group[0].alone)) break;
    group.push(waiting.shift());
  }
  return group;
}

async function classifyGroup(group) {
  const mine = round;
  const form = new FormData();
  for (const { file, name } of group) form.append("files", file, name);
  try {
    const address = addressOf("predict", { classifier: chosen().name, top: MOST_BARS });
    const response = await ask(address, { method: "POST", body: form, signal: mine.signal });
    const { predictions } = await response.json();
    group.forEach((photo, at) => (photo.answer = predictions[at]));
  } catch (error) {
    if (!mine.signal.aborted) fail(group, error);
  }
  if (mine.signal.aborted) return;
  group.forEach(showAnswer);
  report(group[0].batch);
  showFilters();
}

// One bad file does not cost the others their answer.
function fail(group, error) {
  const faults = new Map((error.images || []).map((fault) => [fault.index, fault.detail]));
  const isOfOne = group.length === 1;
  const again = [];
  group.forEach((photo, at) => {
    if (faults.has(at) || isOfOne) photo.failure = faults.get(at) || error.message;
    else if (error instanceof Refusal && error.status < 500) again.push(photo);
    else photo.failure = error.message;
  });
  for (const photo of again) photo.alone = !faults.size;
  waiting.unshift(...again);
}

function work() {
  while (running < GROUPS_AT_ONCE && waiting.length) {
    const group = nextGroup();
    running++;
    classifyGroup(group).catch((error) => complain(error.message)).finally(() => {
      running--;
      work();
    });
  }
}

async function enqueue(batch) {
  for (const photo of batch) Object.assign(photo, { batch, answer: null, failure: null, alone: false });
  batch.forEach(showAnswer);
  const mine = round;
  try {
    await whenReady();
  } catch (error) {
    for (const photo of batch) photo.failure = error.message;
    batch.forEach(showAnswer);
  }
  if (mine.signal.aborted) return;
  waiting.push(...batch.filter(isOpen));
  report(batch);
  showFilters();
  work();
}

const retryAll = () => enqueue(photos.filter((photo) => photo.failure));

function addPhotos(list) {
  const batch = [...list].map(newPhoto);
  if (!batch.length) return;
  photos.unshift(...batch);
  place("photos").prepend(...batch.map((photo) => photo.card));
  batch.forEach(previewLater);
  showGallery();
  say(`0 of ${plural(batch.length, "photo")} classified …`);
  enqueue(batch);
}

function stopRound() {
  round.abort();
  round = new AbortController();
  waiting = [];
}

place("clear").addEventListener("click", () => {
  stopRound();
  for (const photo of photos) for (const address of [photo.preview, photo.heat]) if (address) URL.revokeObjectURL(address);
  photos.length = 0;
  place("photos").replaceChildren();
  showGallery();
  say("All photos removed.");
  place("files").focus();
});
