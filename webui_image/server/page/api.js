// The way to the server. Addresses are relative, so that the page works under any path prefix and behind any balancer.

const directory = location.pathname.endsWith("/") ? "" : `${location.pathname.split("/").pop()}/`;
const KEY = "api-key";
const MAY_PASS = new Set([408, 425, 429, 502, 503, 504]);
export const WENT_AWAY = "The replica went away";
export const SILENCE = 30_000; // ms without a line; the server sends one at least every 10 s

// Something went wrong: `retry` says whether the same request may succeed elsewhere or later, `after` (s) not before when.
export class Trouble extends Error {
  constructor(message, { status = 0, code = "", field = "", retry = false, after = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, field, retry, after });
  }
}

let askForKey = async () => false;

export function onKeyNeeded(ask) {
  askForKey = ask;
}

// Kept until the tab is closed. A user with a password signs in as HTTP basic does, a key goes alone.
export function setKey(key, user) {
  const both = new TextEncoder().encode(`${user}:${key}`);
  sessionStorage.setItem(KEY, user ? `Basic ${btoa(String.fromCharCode(...both))}` : `Bearer ${key}`);
}

export async function ask(path, options = {}) {
  for (;;) {
    const response = await reach(path, options);
    if (response.ok) return response;
    if (response.status !== 401 || !(await askForKey())) throw await troubleOf(response);
  }
}

async function reach(path, { signal, body }) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = key;
  if (body) headers["Content-Type"] = "application/json";
  try {
    return await fetch(directory + path, { method: body ? "POST" : "GET", headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Trouble("The server cannot be reached", { retry: true });
  }
}

async function troubleOf(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // a balancer's own answer is not JSON
  }
  const first = Array.isArray(said.detail) ? said.detail[0] : null;
  const field = first ? first.loc.filter((each, at) => at > 0 || each !== "body").join(".") : "";
  const after = Number(response.headers.get("Retry-After")) || said.retry_after || 0;
  const retry = said.retry ?? (MAY_PASS.has(response.status) && said.reason !== "out_of_memory");
  const message = first?.msg ?? said.errors ?? `The server answered ${response.status}`;
  return new Trouble(message, { status: response.status, code: said.reason, field, retry, after });
}

// The lines of a streamed answer as values, until it ends. A stream that falls silent counts as broken.
export async function* linesOf(response, silence = SILENCE) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let parts = [];
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), silence);
      if (done) {
        if (parts.join("")) throw new Trouble(WENT_AWAY, { retry: true });
        return;
      }
      const pieces = decoder.decode(value, { stream: true }).split("\n");
      parts.push(pieces.shift());
      for (const piece of pieces) {
        const line = parts.join("");
        parts = [piece];
        if (line) yield JSON.parse(line);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function within(promise, milliseconds) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Trouble("The server fell silent", { retry: true })), milliseconds);
  });
  const read = promise.catch((error) => {
    throw error.name === "AbortError" ? error : new Trouble(WENT_AWAY, { retry: true });
  });
  return Promise.race([read, late]).finally(() => clearTimeout(timer));
}
