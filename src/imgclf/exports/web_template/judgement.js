// ------------------------------------------------------------------ from outputs to an answer
// The arithmetic of imgclf.classifiers: answers, calibration, familiarity, class_gaussian.

const SMALLEST = 1e-12;
const LOG_FLOOR = data.log_floor;

const sum = (values) => values.reduce((total, value) => total + value, 0);
const firstLargest = (values) => values.indexOf(Math.max(...values));

// One probability per class; the one sigmoid of two classes is that of the second.
function allClasses(output) {
  if (output.length === 1) return [1 - output[0], output[0]];
  const total = sum(output);
  return Array.from(output, (value) => value / total);
}

function withTemperature(probabilities, temperature) {
  if (temperature === 1) return probabilities;
  let raised = probabilities;
  if (probabilities.some((value) => value <= 0)) {
    const floored = probabilities.map((value) => (value <= 0 ? LOG_FLOOR : value));
    const least = Math.min(...floored);
    raised = probabilities.map((value) => (value <= 0 ? least : value));
  }
  const logarithms = raised.map(Math.log);
  const largest = Math.max(...logarithms);
  const powers = logarithms.map((value) => Math.exp((value - largest) / temperature));
  const total = sum(powers);
  return powers.map((value) => value / total);
}

// Arrays of Python's: {name: {type, shape, values}}, one after the other in `bytes`.
function readTensors(index, bytes) {
  const kinds = { float32: Float32Array, int32: Int32Array };
  const tensors = {};
  let offset = 0;
  for (const { name, type, shape } of index) {
    const length = shape.reduce((product, side) => product * side, 1);
    tensors[name] = { shape, values: new kinds[type](bytes.buffer, bytes.byteOffset + offset, length) };
    offset += 4 * length;
  }
  return tensors;
}

// Logarithm of the squared distance to the nearest class of a ClassGaussian.
function gaussianDistance(tensors, features) {
  const { means, directions, variances } = tensors;
  const [numClasses, size] = means.shape;
  const length = Math.max(SMALLEST, Math.sqrt(sum(features.map((value) => value * value))));
  const numDirections = variances.values.length - 1;
  const gap = new Float64Array(size);
  let nearest = Infinity;
  for (let row = 0; row < numClasses; row++) {
    let across = 0;
    for (let at = 0; at < size; at++) {
      gap[at] = features[at] / length - means.values[row * size + at];
      across += gap[at] * gap[at];
    }
    let distance = 0;
    for (let direction = 0; direction < numDirections; direction++) {
      let along = 0;
      for (let at = 0; at < size; at++) along += gap[at] * directions.values[direction * size + at];
      across -= along * along;
      distance += (along * along) / variances.values[direction];
    }
    nearest = Math.min(nearest, distance + Math.max(0, across) / variances.values[numDirections]);
  }
  return Math.log(nearest + SMALLEST);
}

// A layer's distance to the nearest typical image, in units of its spread over validation images.
function layerScore(tensors, layer, features) {
  const [columns, offset, scale, centres, spread] = ["columns", "offset", "scale", "centres", "log_distance"]
    .map((name) => tensors[`${layer}/${name}`].values);
  const values = Float64Array.from(columns, (column, at) => Math.fround(features[column] - offset[at]) * scale[at]);
  let nearest = Infinity;
  for (let from = 0; from < centres.length; from += values.length) {
    let distance = 0;
    for (let at = 0; at < values.length; at++) distance += (values[at] - centres[from + at]) ** 2;
    nearest = Math.min(nearest, distance);
  }
  return (Math.log(nearest + SMALLEST) - spread[0]) / spread[1];
}

// The share of validation images that lie at least as far from the training images, 0 to 1.
function familiarityOf(tensors, kind, outputs) {
  const features = outputs.slice(1);
  let score;
  if (kind === "gaussian") score = gaussianDistance(tensors, Array.from(features[features.length - 1]));
  else {
    const layers = Object.keys(tensors).filter((name) => name.endsWith("/columns")).length;
    score = sum(Array.from({ length: layers }, (_, layer) => layerScore(tensors, layer, features[layer]))) / layers;
  }
  const scores = tensors.validation_scores.values;
  const rounded = Math.fround(score);
  const nearer = scores.findIndex((value) => value >= rounded);
  return 1 - (nearer < 0 ? scores.length : nearer) / scores.length;
}
