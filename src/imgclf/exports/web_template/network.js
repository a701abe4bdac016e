// ------------------------------------------------------------------ the network
// LiteRT.js (see web_runtime/README.md), by the functions that its WebAssembly module exports.

const UINT8 = 3; // LiteRtElementType

async function unpack(id) {
  const element = place(id);
  const text = atob(element.textContent);
  element.remove(); // megabytes that nobody reads again
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) packed[at] = text.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const listOf = (vector) => Array.from({ length: vector.size() }, (_, at) => vector.get(at));

// Returns the function from pixels to the network's outputs, each a Float32Array.
async function openNetwork(wasmBinary, content, policy) {
  let lastLine = ""; // the runtime reports its start in a dozen lines, and what went wrong in the last
  const note = (text) => {
    lastLine = text;
  };
  try {
    const litert = await ModuleFactory({ wasmBinary, print: note, printErr: note });
    return await compile(litert, content, policy);
  } catch (error) {
    throw new Error(`The network cannot be run (${(error && error.message) || lastLine}).`);
  }
}

async function compile(litert, content, { height, width, channels }) {
  litert.setupLogging();
  const environment = litert.LiteRtEnvironment.create(null);
  const address = litert._malloc(content.byteLength); // never freed: the weights are read from there
  litert.HEAPU8.set(content, address);
  const model = litert.loadModel(environment, address, content.byteLength);
  const compiled = await litert.compileModel(environment, model, {
    environment: { liteRtEnvironment: environment },
    accelerator: "wasm",
    cpuOptions: { numThreads: 1 },
    gpuOptions: {},
    webNNOptions: {},
  });
  const outputNames = listOf(model.getSignature(0).outputNames());
  const shape = new litert.VectorInt32();
  for (const side of [1, height, width, channels]) shape.push_back(side);
  const type = litert.LiteRtRankedTensorType.create({ value: UINT8 }, litert.LiteRtLayout.create(shape));
  const { HOST_MEMORY } = litert.LiteRtTensorBufferType;
  const { READ, WRITE } = litert.LiteRtTensorBufferLockMode;
  const input = litert.LiteRtTensorBuffer.createManaged(environment, HOST_MEMORY, type, height * width * channels);

  const read = (buffer) => {
    const start = buffer.lock(READ);
    const values = new Float32Array(litert.HEAPU8.slice(start, start + buffer.packedSize()).buffer);
    buffer.unlock();
    buffer.delete();
    return values;
  };
  return async (pixels) => {
    const start = input.lock(WRITE);
    litert.HEAPU8.set(pixels, start);
    input.unlock();
    const outputs = (await compiled.run(0, [input])).map(read);
    // Of an output that stands in the file twice, the runtime fills the last buffer alone.
    return outputNames.map((name) => outputs[outputNames.lastIndexOf(name)]);
  };
}
