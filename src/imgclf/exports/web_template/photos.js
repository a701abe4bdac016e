// ------------------------------------------------------------------ the page

const MOST_BARS = 5;
const THUMBNAIL_SIDE = 480;
const policy = data.policy;

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

const say = (text) => {
  place("status").textContent = text;
};

function complain(text) {
  place("problem").textContent = text;
  place("problem").hidden = false;
}

// Tell what of the browser is missing, before anything is tried.
function missingPart() {
  if (typeof WebAssembly === "undefined") return "WebAssembly";
  if (typeof DecompressionStream === "undefined") return "DecompressionStream";
  return typeof createImageBitmap === "undefined" ? "createImageBitmap" : "";
}

async function openClassifier() {
  const missing = missingPart();
  if (missing) throw new Error(`This browser is too old: it has no ${missing}. Take a newer one, of 2023 or later.`);
  const [runtime, network, statistics] = [await unpack("runtime"), await unpack("network"), await unpack("familiarity")];
  const run = await openNetwork(runtime, network, policy);
  const familiarity = data.familiarity;
  const tensors = familiarity ? readTensors(familiarity.tensors, statistics) : null;
  await run(new Uint8Array(policy.height * policy.width * policy.channels)); // the first run sets things up
  return async (pixels) => {
    const outputs = await run(pixels);
    const plain = allClasses(outputs[0]);
    if (plain.length !== data.class_names.length || !plain.every(Number.isFinite))
      throw new Error("the network gives no answer");
    return {
      best: firstLargest(plain),
      probabilities: withTemperature(plain, data.temperature),
      familiarity: tensors ? familiarityOf(tensors, familiarity.kind, outputs) : null,
    };
  };
}

const classifier = new Promise((resolve) => setTimeout(resolve, 30)) // the page is drawn first
  .then(openClassifier);

// ------------------------------------------------------------------ one photo

function thumbnail(bitmap, name) {
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", {
    width: Math.max(1, Math.round(bitmap.width * scale)),
    height: Math.max(1, Math.round(bitmap.height * scale)),
    role: "img",
    "aria-label": name,
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function share(name, probability) {
  const fill = make("i");
  fill.style.width = `${(100 * probability).toFixed(2)}%`;
  return make("li", {},
    make("span", { class: "label" }, name), make("span", {}, percent(probability)),
    make("span", { class: "track", "aria-hidden": "true" }, fill));
}

function shares(probabilities) {
  const order = probabilities.map((_, at) => at).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const rows = (some) => make("ul", { class: "shares" },
    ...some.map((at) => share(data.class_names[at], probabilities[at])));
  const shown = [rows(order.slice(0, MOST_BARS))];
  if (order.length > MOST_BARS) {
    const rest = make("details", {}, make("summary", {}, `All ${count(order.length)} classes`));
    rest.addEventListener("toggle", () => rest.children.length < 2 && rest.append(rows(order.slice(MOST_BARS))));
    shown.push(rest);
  }
  return shown;
}

function showAnswer(card, answer) {
  const label = data.class_names[answer.best];
  card.dataset.label = label;
  card.dataset.probabilities = JSON.stringify(answer.probabilities);
  const parts = [make("h3", {}, ...answered(label, answer.probabilities[answer.best]))];
  if (answer.familiarity !== null) {
    card.dataset.familiarity = answer.familiarity;
    if (answer.familiarity < data.unfamiliar_below)
      parts.push(make("p", { class: "flag warning" }, make("b", {}, "Unfamiliar"), ": unlike the training images. The answer may mean nothing."));
  }
  card.append(...parts, ...shares(answer.probabilities));
}

async function classify(file, card) {
  const name = file.name || "pasted photo";
  let bitmap;
  try {
    bitmap = await openBitmap(file);
  } catch (error) {
    const reason = error.message.includes("pixels") ? error.message : "it is no photo that this browser can read";
    throw new Error(`${name}: ${reason}.`);
  }
  try {
    card.prepend(thumbnail(bitmap, name));
    const answer = await (await classifier)(await networkPixels(bitmap, policy, await isJpeg(file)));
    showAnswer(card, answer);
    return `${name}: ${data.class_names[answer.best]}, ${percent(answer.probabilities[answer.best])}`;
  } finally {
    bitmap.close();
  }
}

// ------------------------------------------------------------------ many photos

let waiting = Promise.resolve();
let generation = 0; // raised by "Remove all": what waits then is dropped

async function classifyAll(files, cards) {
  const mine = generation;
  const failed = [];
  let last = "";
  for (const [at, file] of files.entries()) {
    if (mine !== generation) return;
    say(`Photo ${count(at + 1)} of ${count(files.length)} …`);
    try {
      last = await classify(file, cards[at]);
    } catch (error) {
      failed.push(error.message);
      cards[at].append(make("p", { class: "flag warning" }, "No answer. " + error.message));
    }
    cards[at].removeAttribute("aria-busy");
    await breathe();
  }
  if (mine !== generation) return;
  const done = files.length - failed.length;
  const all = `${plural(done, "photo")} classified`;
  if (failed.length) say(`${all}, ${plural(failed.length, "file")} not.`);
  else say(files.length === 1 ? last + "." : all + ".");
}

function addPhotos(list) {
  const files = [...list];
  if (!files.length) return;
  const cards = files.map((file) =>
    make("li", { class: "photo", "aria-busy": "true" }, make("p", { class: "name", title: file.name }, file.name || "pasted photo")));
  place("photos").prepend(...cards);
  place("answers").hidden = false;
  waiting = waiting.then(() => classifyAll(files, cards)).catch((error) => complain(error.message));
}

for (const id of ["files", "capture"])
  place(id).addEventListener("change", ({ target }) => {
    addPhotos(target.files);
    target.value = ""; // so that the same photo can be chosen again
  });

place("clear").addEventListener("click", () => {
  generation++;
  place("photos").replaceChildren();
  place("answers").hidden = true;
  say("All photos removed.");
  place("files").focus();
});

addEventListener("paste", (event) => addPhotos(event.clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  place("chooser").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || place("chooser").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  place("chooser").classList.remove("over");
  addPhotos(event.dataTransfer.files);
});

// ------------------------------------------------------------------ the camera

function closeCamera() {
  const video = place("video");
  if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
  place("camera").hidden = true;
  place("open-camera").hidden = false;
}

async function openCamera() {
  // A phone's own camera app takes better photos than a page does.
  const isPhone = matchMedia("(pointer: coarse)").matches;
  if (isPhone || !navigator.mediaDevices) return place("capture").click();
  const video = place("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    place("camera").hidden = false;
    place("open-camera").hidden = true;
    await video.play();
    place("take").focus();
  } catch {
    closeCamera();
    say("No camera can be used here: choose photos instead.");
  }
}

place("open-camera").addEventListener("click", openCamera);
place("close-camera").addEventListener("click", () => {
  closeCamera();
  place("open-camera").focus();
});
place("take").addEventListener("click", () => {
  const video = place("video");
  if (!video.videoWidth) return;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const name = `Camera ${new Date().toLocaleTimeString("en-GB")}`;
  canvas.toBlob((blob) => addPhotos([new File([blob], name, { type: "image/png" })]), "image/png");
});

// ------------------------------------------------------------------ the classifier's card

place("facts").append(pairsTable(data.facts));
place("notes").append(...data.notes.map((text) => make("p", {}, text)));
classifier.then(
  () => place("status").textContent.startsWith("Loading") && say("Ready."),
  (error) => {
    say("The network cannot run here.");
    complain(error.message);
  },
);
