// ------------------------------------------------------------------ the classifiers of the server

const RESIZING = { stretch: "stretched", pad: "whole, on a background", crop: "cut to its middle" };
const SPLITS = { test: "test", val: "validation" };
const MOST_NAMED = 6;
const USUAL_PRECISION = 0.95;

let classifiers = [];
let features = { explains: false, collects: false };
let at = 0; // which one is chosen

const chosen = () => classifiers[at];
const unsureBelow = () => Number(place("unsure").value) || 0;

function showClassifier() {
  const card = chosen();
  const names = card.classes;
  document.title = `${card.name} – imgclf`;
  place("title").textContent = names.length < 4 ? names.join(" or ") + "?" : card.name;
  const more = names.length > MOST_NAMED ? ` and ${count(names.length - MOST_NAMED)} more` : "";
  place("summary").textContent = `Tells ${count(names.length)} classes apart: ${names.slice(0, MOST_NAMED).join(", ")}${more}.`;
  showAccuracy(card.accuracy);
  place("facts").replaceChildren(pairsTable(factsOf(card)));
  place("notes").replaceChildren(...notesOf(card).map((text) => make("p", {}, text)));
  showPrecisions(card.unsure);
}

function showAccuracy(figures) {
  place("accuracy").textContent = figures ? percentOf(figures.accuracy, figures.num_images) : "";
  place("interval").textContent = figures
    ? `of ${count(figures.num_images)} ${SPLITS[figures.split]} images right (95% interval: ${percentOf(figures.accuracy_low, figures.num_images)} to ${percentOf(figures.accuracy_high, figures.num_images)})`
    : "Its accuracy was not measured.";
}

function factsOf({ name, version, classes, input, accuracy, trained_on: trained, created, architecture, engine }) {
  const facts = [["Name", name], ["Classes", count(classes.length)]];
  if (accuracy) facts.push(["Guessing the commonest class", percentOf(accuracy.majority_accuracy, accuracy.num_images)]);
  if (trained)
    facts.push(["Trained on", `${plural(trained.num_train, "image")}; ${count(trained.num_val)} for validation, ${count(trained.num_test)} for the test`]);
  if (created) facts.push(["Made", created.slice(0, 10)]);
  const colours = input.channels === 1 ? "grey" : "colour";
  facts.push(["Reads", `${input.width} x ${input.height} pixels in ${colours}, ${RESIZING[input.resize]}`]);
  if (architecture) {
    facts.push(["Network", architecture.name.replaceAll("_", " ")]);
    for (const origin of architecture.pretrained) facts.push(["Pretrained", origin.replace(/, sha256 \w+$/, "")]);
  }
  facts.push(["Answers by", engine === "litert" ? "LiteRT" : "Keras"], ["Version", version.slice(0, 7 + 16)]);
  return facts;
}

function notesOf(card) {
  const notes = ["It always names one of its classes, even for a photo of something else. " + (card.tells_unfamiliar
    ? "A photo is called unfamiliar if it lies farther from the training images than 95% of the validation images do."
    : "This one cannot tell which photos are unfamiliar to it.")];
  if (card.unsure.length)
    notes.push("You choose how many answers must be right. Those below the probability at which that held on the validation images are called unsure.");
  if (!features.explains) notes.push("Heat maps of where it looked need TensorFlow, which is not installed beside this server.");
  if (features.collects)
    notes.push("Photos that you correct are kept on the server, in a folder for each class. Train again with them: imgclf train FOLDER.");
  return notes;
}

function showPrecisions(precisions) {
  const options = [make("option", { value: "0" }, "never")];
  for (const { min_precision: wanted, threshold, coverage } of precisions) {
    const share = percent(wanted, wanted === 0.995 ? 1 : 0);
    options.push(make("option", { value: String(threshold) }, `below ${share} right (${percent(1 - coverage, 0)} of photos)`));
  }
  place("unsure").replaceChildren(...options);
  place("unsure").selectedIndex = precisions.findIndex(({ min_precision: wanted }) => wanted >= USUAL_PRECISION) + 1;
  place("unsure-field").hidden = !precisions.length;
}

place("unsure").addEventListener("change", showAll);
place("classifier").addEventListener("change", ({ target }) => {
  at = target.selectedIndex;
  stopRound();
  showClassifier();
  for (const photo of photos) {
    if (photo.heatOf) removeHeat(photo);
    photo.panel?.replaceChildren();
    photo.correcting = false;
  }
  if (photos.length) enqueue([...photos]);
});

async function readClassifiers() {
  const found = await (await ask("classifiers")).json();
  classifiers = found.classifiers;
  features = { explains: found.explains, collects: found.collects };
  place("classifier").replaceChildren(...classifiers.map(({ name }, index) => make("option", { value: String(index) }, name)));
  place("classifier-field").hidden = classifiers.length < 2;
  if (features.collects) place("storage").textContent = ", which stores those that you correct";
  showClassifier();
  place("problem").hidden = true;
  if (!photos.length) say("Ready.");
}

let reading = null;

// The classifiers are known from here on; after a failure they are asked for again.
function whenReady() {
  reading ||= readClassifiers().catch((error) => {
    reading = null;
    throw error;
  });
  return reading;
}

whenReady().catch((error) => {
  say("The server cannot be asked.");
  complain(error.message);
});
