// ------------------------------------------------------------------ pixels
// A photo becomes the pixels that the network reads as in imgclf.data.pixels: upright, opaque, and
// resized by the arithmetic of Pillow (reduce, then the bilinear filter with antialiasing).

const STRIP_PIXELS = 1 << 19; // so many are read from the browser at a time: phones have little memory
const COEFFICIENT_BITS = 22; // Pillow's PRECISION_BITS

// Python's round: halves go to the even side.
const roundEven = (value) => {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
};

let lastPause = 0;

// Let the page react, at most every 16 ms.
async function breathe() {
  if (performance.now() - lastPause < 16) return;
  await new Promise((resolve) => setTimeout(resolve));
  lastPause = performance.now();
}

async function isJpeg(file) {
  const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  return start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff;
}

// What gives rows of pixels: `rows(top, count)` are the bytes of `count` rows, channels last.
function rowsOfBitmap(bitmap, policy) {
  const { width, height } = bitmap;
  const channels = policy.channels;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  const rows = (top, count) => {
    if (canvas.width !== width || canvas.height !== count) [canvas.width, canvas.height] = [width, count];
    context.fillStyle = `rgb(${policy.background.join(",")})`;
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const source = context.getImageData(0, 0, width, count).data;
    const target = new Uint8Array(width * count * channels);
    if (channels === 1)
      for (let from = 0, to = 0; to < target.length; from += 4, to++)
        target[to] = (source[from] * 19595 + source[from + 1] * 38470 + source[from + 2] * 7471 + 0x8000) >> 16;
    else
      for (let from = 0, to = 0; to < target.length; from += 4, to += 3) {
        target[to] = source[from];
        target[to + 1] = source[from + 1];
        target[to + 2] = source[from + 2];
      }
    return target;
  };
  return { width, height, channels, rows };
}

function rowsOfPixels(data, width, height, channels) {
  const stride = width * channels;
  return { width, height, channels, rows: (top, count) => data.subarray(top * stride, (top + count) * stride) };
}

// Add a row's pixels to the sums of the blocks that they lie in; most of the time goes by here.
function addBlocks(bytes, start, size, factor, channels, sums) {
  const end = start + size * channels;
  const step = factor * channels;
  for (let from = start, to = 0; from < end; from += step, to += channels) {
    const stop = Math.min(end, from + step);
    let [first, second, third] = [0, 0, 0];
    if (channels === 1) for (let at = from; at < stop; at++) first += bytes[at];
    else
      for (let at = from; at < stop; at += 3) {
        first += bytes[at];
        second += bytes[at + 1];
        third += bytes[at + 2];
      }
    sums[to] += first;
    if (channels === 1) continue;
    sums[to + 1] += second;
    sums[to + 2] += third;
  }
}

// Pillow's reduce: means over blocks of whole pixels; those at the edge may be smaller.
async function reduce(source, [acrossFactor, downFactor], [left, top, right, bottom]) {
  const channels = source.channels;
  const [width, height] = [Math.ceil((right - left) / acrossFactor), Math.ceil((bottom - top) / downFactor)];
  const result = new Uint8Array(width * height * channels);
  const stride = source.width * channels;
  const perStrip = Math.max(1, Math.floor(STRIP_PIXELS / source.width / downFactor));
  const sums = new Uint32Array(width * channels);
  for (let first = 0; first < height; first += perStrip) {
    const [from, last] = [top + first * downFactor, Math.min(height, first + perStrip)];
    const strip = source.rows(from, Math.min(bottom, top + last * downFactor) - from);
    for (let row = first; row < last; row++) {
      const [begin, end] = [top + row * downFactor - from, Math.min(bottom, top + (row + 1) * downFactor) - from];
      sums.fill(0);
      for (let line = begin; line < end; line++)
        addBlocks(strip, line * stride + left * channels, right - left, acrossFactor, channels, sums);
      const to = row * width * channels;
      for (let column = 0; column < width; column++) {
        const count = Math.min(acrossFactor, right - left - column * acrossFactor) * (end - begin);
        const [half, multiplier] = [count >> 1, Math.floor(2 ** 32 / (256 * count))];
        for (let at = column * channels; at < (column + 1) * channels; at++)
          result[to + at] = Math.floor(((sums[at] + half) * multiplier) / 2 ** 24);
      }
    }
    await breathe();
  }
  return rowsOfPixels(result, width, height, channels);
}

// For each target pixel: the first source pixel that counts, and the weights, as whole numbers.
function bilinearWeights(size, from, to, targetSize) {
  const scale = Math.fround(to - from) / targetSize;
  const support = Math.max(1, scale);
  const weights = [];
  for (let target = 0; target < targetSize; target++) {
    const centre = from + (target + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(size, Math.trunc(centre + support + 0.5));
    const shares = [];
    for (let at = first; at < last; at++) shares.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) / support)));
    const total = shares.reduce((sum, share) => sum + share, 0);
    weights.push([first, Int32Array.from(shares, (share) => 0.5 + (share / total) * 2 ** COEFFICIENT_BITS)]);
  }
  return weights;
}

const HALF = 1 << (COEFFICIENT_BITS - 1);

// Pillow's resize: across, rounded to whole levels, then down.
async function resize(source, [left, top, right, bottom], width, height) {
  const channels = source.channels;
  const across = bilinearWeights(source.width, left, right, width);
  const down = bilinearWeights(source.height, top, bottom, height);
  const [begin, lastWeights] = [down[0][0], down[height - 1]];
  const end = lastWeights[0] + lastWeights[1].length;
  const narrow = new Uint8Array((end - begin) * width * channels);
  let to = 0;
  for (let row = begin; row < end; row++) {
    const line = source.rows(row, 1);
    for (const [first, weights] of across)
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF;
        for (let tap = 0, at = first * channels + channel; tap < weights.length; tap++, at += channels)
          sum += line[at] * weights[tap];
        narrow[to++] = Math.min(255, sum >> COEFFICIENT_BITS);
      }
    if (row % 64 === 0) await breathe();
  }
  const stride = width * channels;
  const result = new Uint8Array(height * stride);
  to = 0;
  for (const [first, weights] of down)
    for (let column = 0; column < stride; column++) {
      let sum = HALF;
      for (let tap = 0, at = (first - begin) * stride + column; tap < weights.length; tap++, at += stride)
        sum += narrow[at] * weights[tap];
      result[to++] = Math.min(255, sum >> COEFFICIENT_BITS);
    }
  return rowsOfPixels(result, width, height, channels);
}

// The part of a photo that is shown, and the size that it is resized to.
function fit(width, height, policy) {
  const scales = [policy.width / width, policy.height / height];
  if (policy.resize === "crop") {
    const largest = Math.max(...scales);
    const [across, down] = [Math.min(width, policy.width / largest), Math.min(height, policy.height / largest)];
    const [left, top] = [(width - across) / 2, (height - down) / 2];
    return { box: [left, top, left + across, top + down], size: [policy.width, policy.height] };
  }
  const smallest = Math.min(...scales);
  const inside = [Math.max(1, roundEven(width * smallest)), Math.max(1, roundEven(height * smallest))];
  return { box: [0, 0, width, height], size: policy.resize === "pad" ? inside : [policy.width, policy.height] };
}

// Python reads a large JPEG at 1/2, 1/4 or 1/8 of its size; means over blocks come close to that.
function draftFactor(width, height, policy) {
  const ratios = [width / policy.width, height / policy.height];
  const largest = (policy.resize === "pad" ? Math.max(...ratios) : Math.min(...ratios)) / 2;
  if (policy.channels !== 1 && largest < 2) return 1;
  const { box: [left, top, right, bottom], size } = fit(width, height, policy);
  const wanted = [
    Math.ceil((2 * size[0] * width) / (right - left) - 1e-6),
    Math.ceil((2 * size[1] * height) / (bottom - top) - 1e-6),
  ];
  const most = Math.min(Math.floor(width / wanted[0]), Math.floor(height / wanted[1]));
  return [8, 4, 2, 1].find((factor) => factor <= Math.max(1, most));
}

// Resize a box of the source as Pillow does with reducing_gap=2.
async function resizeWithGap(source, box, [width, height]) {
  const isWhole = box[0] === 0 && box[1] === 0 && box[2] === source.width && box[3] === source.height;
  if (isWhole && source.width === width && source.height === height)
    return rowsOfPixels(source.rows(0, height), width, height, source.channels);
  const scales = [(box[2] - box[0]) / width, (box[3] - box[1]) / height];
  const factors = scales.map((scale) => Math.trunc(scale / 2) || 1);
  if (factors[0] === 1 && factors[1] === 1) return resize(source, box, width, height);
  const safe = [
    Math.max(0, Math.trunc(box[0] - scales[0] / 2)),
    Math.max(0, Math.trunc(box[1] - scales[1] / 2)),
    Math.min(source.width, Math.ceil(box[2] + scales[0] / 2)),
    Math.min(source.height, Math.ceil(box[3] + scales[1] / 2)),
  ];
  const reduced = await reduce(source, factors, safe);
  const inside = box.map((edge, at) => (edge - safe[at % 2]) / factors[at % 2]);
  return resize(reduced, inside, width, height);
}

// Centre what is smaller than the target on the background.
function pad(image, policy) {
  const { width, height, channels } = image;
  const pixels = image.rows(0, height);
  if (width === policy.width && height === policy.height) return pixels;
  const [red, green, blue] = policy.background;
  const level = channels === 1 ? [(red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16] : policy.background;
  const result = Uint8Array.from({ length: policy.width * policy.height * channels }, (_, at) => level[at % channels]);
  const [left, top] = [Math.floor((policy.width - width) / 2), Math.floor((policy.height - height) / 2)];
  for (let row = 0; row < height; row++)
    result.set(
      pixels.subarray(row * width * channels, (row + 1) * width * channels),
      ((top + row) * policy.width + left) * channels,
    );
  return result;
}

// The bytes that the network reads, (height, width, channels).
async function networkPixels(bitmap, policy, fromJpeg) {
  let source = rowsOfBitmap(bitmap, policy);
  let [width, height] = [bitmap.width, bitmap.height];
  const factor = fromJpeg ? draftFactor(width, height, policy) : 1;
  if (factor > 1) {
    source = await reduce(source, [factor, factor], [0, 0, width, height]);
    [width, height] = [width / factor, height / factor];
  } else if (width * height <= 4 * STRIP_PIXELS) {
    source = rowsOfPixels(source.rows(0, height), width, height, policy.channels);
  }
  const { box, size } = fit(width, height, policy);
  return pad(await resizeWithGap(source, box, size), policy);
}
