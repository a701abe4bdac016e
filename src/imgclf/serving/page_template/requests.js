// ------------------------------------------------------------------ asking the server

const MOST_TRIES = 8;
const LONGEST_PAUSE_S = 30;

let token = ""; // in memory alone

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Several requests may miss the token at once: one form serves them all.
let tokenGiven = null;

function askForToken() {
  if (tokenGiven) return tokenGiven;
  const wasRefused = token !== "";
  place("access").hidden = false;
  place("access-problem").hidden = !wasRefused;
  if (wasRefused) place("access-problem").textContent = "The server does not accept this token.";
  say("The server asks for its token.");
  place("token").value = "";
  place("token").focus();
  tokenGiven = new Promise((resolve) =>
    place("access-form").addEventListener("submit", (event) => {
      event.preventDefault();
      token = place("token").value;
      place("access").hidden = true;
      tokenGiven = null;
      say("");
      resolve();
    }, { once: true }));
  return tokenGiven;
}

// What the server says against a request; `images` are the faults of single ones.
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered with status ${status}.`);
    this.status = status;
    this.images = problem.images || [];
    this.remedy = problem.remedy ? `${problem.remedy.charAt(0).toUpperCase()}${problem.remedy.slice(1)}.` : this.message;
  }
}

async function refusalOf(response) {
  try {
    return new Refusal(response.status, await response.json());
  } catch {
    return new Refusal(response.status, {}); // what answers may be something before the server
  }
}

// A busy server says when to come again; never all at the same moment.
function retryDelay(response, tries) {
  const stated = Number(response.headers.get("retry-after")) || 2 ** tries / 4;
  return Math.min(LONGEST_PAUSE_S, stated) * (1 + Math.random() / 2);
}

async function ask(address, options = {}) {
  for (let tries = 1; ; tries++) {
    const used = token;
    const headers = used ? { authorization: `Bearer ${used}` } : {};
    let response;
    try {
      response = await fetch(address, { ...options, headers, credentials: "same-origin" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer: is it still running?");
    }
    if (response.ok) return response;
    if (response.status === 401) {
      tries = 0;
      if (token === used) await askForToken(); // else another request has got a newer one
    } else if ((response.status === 503 || response.status === 429) && tries < MOST_TRIES) {
      await pause(retryDelay(response, tries));
      if (options.signal && options.signal.aborted) throw new DOMException("", "AbortError");
    } else throw await refusalOf(response);
  }
}

// Addresses are relative: the application may be mounted below another one.
const addressOf = (name, parameters) => `${name}?${new URLSearchParams(parameters)}`;

// The request's Content-Type is that of the file.
function imageBody({ file }) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  return file.slice(0, file.size, type);
}
