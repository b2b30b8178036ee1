// The requests of this page: a few at a time are sent, the rest wait here, since a browser opens only six connections to
// one host over HTTP/1.1 and all tabs share them.

import { plural } from "./dom.js";
import { generate } from "./resubmit.js";

const AT_ONCE = 3;
let numbers = 0;

export class Queue {
  // `hooks`: changed(job) when there is something new to show; picture(job, line) for each; over(job) at the end.
  constructor(hooks) {
    this.hooks = hooks;
    this.jobs = [];
  }

  // `body` goes to api/generate as it is; `settings` is what of it is kept with the pictures.
  add(body, settings) {
    const job = {
      id: (numbers += 1), body, settings, prompt: body.prompt, count: body.count, state: "waiting", position: null,
      fractions: new Map(), step: 0, steps: 0, index: 0, preview: "", done: 0, again: null, error: null, served: null,
      controller: new AbortController(),
    };
    this.jobs.push(job);
    this.hooks.changed(job);
    this.sendNext();
    return job;
  }

  stop(job) {
    job.controller.abort(new DOMException("Stopped", "AbortError"));
    if (job.state === "waiting") this.end(job, "stopped");
  }

  sendNext() {
    const sent = this.jobs.filter((job) => job.state !== "waiting").length;
    for (const job of this.jobs.filter((each) => each.state === "waiting").slice(0, Math.max(AT_ONCE - sent, 0))) {
      job.state = "sent";
      this.run(job);
    }
  }

  async run(job) {
    const on = { event: (line) => this.take(job, line), again: (what) => this.wait(job, what) };
    try {
      await generate(job.body, { signal: job.controller.signal, on });
      this.end(job, "done");
    } catch (error) {
      job.error = error;
      this.end(job, job.controller.signal.aborted ? "stopped" : "failed");
    }
  }

  take(job, line) {
    job.again = null;
    if (line.type === "accepted") Object.assign(job, { state: "sent", served: line.served });
    if (line.type === "queued") Object.assign(job, { state: "queued", position: line.position });
    if (line.type === "step") {
      Object.assign(job, { state: "drawing", step: line.step, steps: line.steps, index: line.index });
      job.fractions.set(line.index, line.step / Math.max(line.steps, 1));
      if (line.preview && line.index === firstUnfinished(job)) job.preview = line.preview;
    }
    if (line.type === "picture") {
      job.done += 1;
      job.fractions.set(line.index, 1);
      this.hooks.picture(job, line);
    }
    this.hooks.changed(job);
  }

  wait(job, what) {
    Object.assign(job, { state: "again", again: what });
    this.hooks.changed(job);
  }

  end(job, state) {
    job.state = state;
    this.jobs = this.jobs.filter((each) => each !== job);
    this.hooks.over(job);
    this.sendNext();
  }
}

// Pictures of one request may be drawn side by side; the stage shows one of them.
function firstUnfinished(job) {
  let index = 0;
  while (job.fractions.get(index) === 1 && index < job.count - 1) index += 1;
  return index;
}

export function fractionOf(job) {
  let sum = 0;
  for (const each of job.fractions.values()) sum += each;
  return Math.min(sum / job.count, 1);
}

// Where the job stands, in words; `short` for a tile.
export function words(job, short = false) {
  if (job.state === "waiting") return short ? "Waiting" : "Waiting for the pictures before it";
  if (job.state === "sent") return short ? "Sent" : "Sent, waiting for the server";
  if (job.state === "queued") {
    if (job.position === 0) return short ? "Next" : "Next in the queue";
    return short ? `${job.position} before it` : `In the queue, ${plural(job.position, "request", "requests")} before yours`;
  }
  if (job.state === "again") return short ? "Trying again" : againWords(job.again);
  if (job.count === 1) return `Step ${job.step} of ${job.steps}`;
  return `${job.done} of ${job.count} done, ${Math.floor(fractionOf(job) * 100)} %`;
}

function againWords({ attempt, attempts, seconds, reason }) {
  const cause = { 429: "The queue is full", 503: "The replica is not ready" }[reason.status] ?? (reason.code === "handed_back" || reason.status >= 500 ? "The replica went away" : reason.message);
  const when = seconds >= 1.5 ? ` in ${Math.round(seconds)} s` : "";
  return `${cause}; trying again with the same seed${when} (${attempt} of ${attempts - 1})`;
}
