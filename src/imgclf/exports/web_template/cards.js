// ------------------------------------------------------------------ what pages that classify share

const MOST_PIXELS = 50_000_000;
const THUMBNAIL_SIDE = 480;

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

const say = (text) => {
  place("status").textContent = text;
};

function complain(text) {
  place("problem").textContent = text;
  place("problem").hidden = false;
}

async function openBitmap(file) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
  } catch {
    bitmap = await createImageBitmap(file); // a browser that does not know the options
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    bitmap.close();
    throw new Error("it has more than 50 million pixels");
  }
  return bitmap;
}

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
