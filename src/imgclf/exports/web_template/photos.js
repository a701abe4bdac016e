// ------------------------------------------------------------------ the page

const MOST_BARS = 5;
const policy = data.policy;

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

place("clear").addEventListener("click", () => {
  generation++;
  place("photos").replaceChildren();
  place("answers").hidden = true;
  say("All photos removed.");
  place("files").focus();
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
