// A request that ends with its pictures although replicas come and go. The page draws the seed, so that the same request
// sent to another replica gives the same picture; what has arrived is not asked for again.

import { Trouble, WENT_AWAY, ask, linesOf } from "./api.js";

const ATTEMPTS = 12; // in a row without a new picture
const LONGEST_WAIT = 20; // seconds

// `on` is told: event(line) for each line, with `index` counted over all attempts, and again({attempt, attempts, seconds,
// reason}) before each pause. Rejects with Trouble when it cannot be helped, with the signal's error when aborted.
export async function generate(body, { signal, on }) {
  const got = new Set();
  let failures = 0;
  while (got.size < body.count) {
    const before = got.size;
    try {
      const last = await attempt(body, got, signal, on);
      if (last.interrupted) return; // by the same user, through another program
      if (got.size < body.count) throw new Trouble("The server sent fewer pictures than asked for", { retry: true });
    } catch (error) {
      signal.throwIfAborted();
      failures = got.size > before ? 1 : failures + 1;
      if (!(error instanceof Trouble && error.retry) || failures >= ATTEMPTS) throw error;
      const seconds = Math.max(error.after, backOff(failures));
      on.again({ attempt: failures, attempts: ATTEMPTS, seconds, reason: error });
      await pause(seconds, signal);
    }
  }
}

async function attempt(body, got, signal, on) {
  let first = 0;
  while (got.has(first)) first += 1;
  const response = await ask("api/generate", { signal, body: JSON.stringify(remaining(body, first)) });
  let last = null;
  for await (const line of linesOf(response)) {
    if (line.type === "error") {
      throw new Trouble(line.message, { code: line.code, field: line.field, retry: line.retry, after: line.retry_after ?? 0 });
    }
    const event = "index" in line ? { ...line, index: line.index + first } : line;
    if (line.type === "picture") {
      if (got.has(event.index)) continue;
      got.add(event.index);
    }
    on.event(event);
    last = line.type === "done" ? line : null; // reading on to the end keeps the connection for the next request
  }
  if (!last) throw new Trouble(WENT_AWAY, { retry: true });
  return last;
}

// Picture i has seed + i or, in a variation, the variation's seed + i: asking for the rest moves that one on.
function remaining(body, first) {
  if (first === 0) return body;
  const rest = { ...body, count: body.count - first };
  if (body.variation) rest.variation = { ...body.variation, seed: body.variation.seed + first };
  else rest.seed = body.seed + first;
  return rest;
}

function backOff(failures) {
  const longest = Math.min(0.5 * 2 ** (failures - 1), LONGEST_WAIT);
  return longest * (0.5 + Math.random() / 2);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      window.removeEventListener("online", done);
      resolve();
    }
    function stop() {
      done();
      reject(signal.reason);
    }
    signal.addEventListener("abort", stop, { once: true });
    window.addEventListener("online", done);
  });
}
