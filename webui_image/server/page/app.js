// Where the parts of the page meet.

import { ask, onKeyNeeded, setKey } from "./api.js";
import { announce, byId, confirmWith, remember, toast } from "./dom.js";
import { clearErrors, fill, offer, randomSeed, read, showError, startForm, withSeeds } from "./form.js";
import { pick, startFiles } from "./files.js";
import { Gallery } from "./gallery.js";
import { parseInfotext, settingsOf } from "./infotext.js";
import { startPainter } from "./painter.js";
import { parametersOf } from "./png.js";
import { Queue } from "./queue.js";
import { finishedWords, onStage, placeWords, showEmpty, showJob, showPicture, showTrouble, startStage } from "./stage.js";
import { removeStart, setStart, startFields, startPicture, startStart } from "./start.js";
import { openStore } from "./store.js";
import { startTheme } from "./theme.js";

const MOVE_ON = 2500; // ms that a finished picture stays before the stage turns to the next request
const TITLE = document.title;
let info = null;
let store = null;
let gallery = null;
let follow = true; // the stage shows what is being drawn, until the user chooses a picture
let others = null;

const queue = new Queue({
  changed(job) {
    gallery?.job(job);
    const shown = onStage();
    if (shown.job === job || (follow && shown.kind === "empty")) show(() => showJob(job));
  },
  picture: (job, line) => keep(job, line),
  over(job) {
    gallery?.jobOver(job);
    if (job.state === "stopped") stopped(job);
    if (job.state === "failed") failed(job);
    if (job.state === "done") announce(finishedWords(job));
    if (job.state === "done" && document.hidden) document.title = `Finished: ${TITLE}`;
    if (follow) setTimeout(moveOn, MOVE_ON);
  },
});

function show(how) {
  how();
  gallery?.mark(onStage());
}

function moveOn() {
  const next = queue.jobs[0];
  if (follow && next && onStage().kind !== "job") show(() => showJob(next));
}

// Generating

// `started` is a fact about a kept picture, not a part of a request.
async function submit({ started, ...settings }, withStart) {
  if (!info?.models.length) return;
  clearErrors();
  const drawn = withSeeds(settings);
  const pictures = withStart ? await startFields() : {};
  const job = queue.add({ ...drawn, ...pictures }, { ...drawn, started: "image" in pictures });
  follow = true;
  if (onStage().kind !== "job") show(() => showJob(job));
  const stage = byId("stage").getBoundingClientRect();
  if (stage.top > window.innerHeight * 0.7) byId("stage").scrollIntoView();
}

function stopped(job) {
  announce("Stopped");
  if (onStage().job === job) show(showEmpty);
  moveOn();
}

function failed(job) {
  const { field, message } = job.error;
  if (["image", "mask"].includes(field) && startPicture()) {
    byId("fold-start").open = true;
    Object.assign(byId("image-error"), { textContent: message, hidden: false });
  } else if (showError(field ?? "", message)) {
    if (onStage().job === job) show(showEmpty);
    announce(`${field}: ${message}`);
    return;
  }
  follow = false;
  show(() => showTrouble(message, job));
}

async function keep(job, line) {
  const bytes = Uint8Array.from(atob(line.png), (each) => each.charCodeAt(0));
  const blob = new Blob([bytes], { type: "image/png" });
  const settings = { ...job.settings, count: 1, seed: line.seed };
  if (settings.variation) settings.variation = { ...settings.variation, seed: line.variation_seed };
  const about = {
    settings, prompt: job.prompt, infotext: line.parameters, width: line.width, height: line.height, model: line.model,
    served: job.served, seconds: line.seconds, created: Date.now(),
  };
  const onTop = follow && (onStage().job === job || onStage().kind !== "job");
  let record = about;
  try {
    record = await store.add(about, blob);
    for (const id of await store.prune()) gallery.remove(id);
    others?.postMessage("changed");
  } catch {
    toast("This browser has no room left: the picture is not kept. Download it.");
  }
  if (record.id) gallery.put(record, blob);
  place(job.served);
  if (onTop && (job.count === job.done || onStage().job !== job)) show(() => showPicture(record, blob));
}

// Pictures from elsewhere

async function opened(file) {
  if (!file) return;
  const text = await parametersOf(file).catch(() => null);
  if (text === null || !info) {
    if (await setStart(file, info?.limits ?? { input_pixels: 4_000_000 })) toast("This is now the start picture");
    return;
  }
  const before = read();
  const parsed = parseInfotext(text);
  const settings = { variation: null, hires: null, ...settingsOf(parsed, info) };
  fill(settings);
  follow = false;
  show(() => showPicture({ settings, prompt: parsed.prompt, infotext: text, model: parsed.fields.get("Model"), ...sizeOf(parsed) }, file));
  toast("Settings read from the picture", { label: "Undo", run: () => fill(before) });
  announce("Settings read from the picture");
}

function sizeOf({ fields }) {
  const [width, height] = (fields.get("Size") ?? "").split("x").map(Number);
  return fields.has("Hires upscale") || !width ? {} : { width, height };
}

// What can be made of the picture on the stage

const actions = {
  vary() {
    const { settings } = onStage().about;
    const count = Math.min(4, info.limits.pictures);
    submit({ ...read(), ...settings, count, variation: { seed: randomSeed(count), strength: 0.2 } }, false);
  },
  async "use-start"() {
    if (await setStart(onStage().blob, info.limits)) byId("fold-start").scrollIntoView({ block: "nearest" });
    byId("mask-edit").focus();
  },
  enlarge() {
    const { settings } = onStage().about;
    const scale = 2;
    const { width, height } = settings;
    if (width * height * scale * scale > info.limits.pixels) toast(`Too large to enlarge: ${info.limits.pixels} pixels at most`);
    else submit({ ...read(), ...settings, count: 1, hires: { scale, denoising_strength: 0.5, steps: 0, upscaler: info.upscalers[0] } }, false);
  },
  "use-settings"() {
    const before = read();
    fill({ variation: null, hires: null, ...onStage().about.settings });
    toast("Settings taken over", { label: "Undo", run: () => fill(before) });
  },
  "use-seed"() {
    fill({ seed: onStage().about.settings.seed });
    toast("Seed taken over");
  },
  async copy() {
    try {
      await navigator.clipboard.writeText(onStage().about.infotext);
      toast("Parameters copied");
    } catch {
      toast("The browser does not let the page copy");
    }
  },
  delete: () => remove(onStage().about),
  again() {
    const { job } = onStage();
    queue.add(job.body, job.settings);
    follow = true;
    show(showEmpty);
    moveOn();
  },
  stop: () => stop(),
  "start-open": () => pick((file) => setStart(file, info.limits)),
  open: () => pick(opened),
  "delete-all": () => removeAll(),
};

async function remove(about) {
  await store.remove(about.id);
  gallery.remove(about.id);
  others?.postMessage("changed");
  announce("Picture deleted");
  if (onStage().about?.id === about.id) show(showEmpty);
}

async function removeAll() {
  if (!(await asked("Delete all pictures?", "They are kept in this browser only, and cannot be brought back.", "Delete all"))) return;
  await store.clear();
  await gallery.load();
  remember("settings", null);
  others?.postMessage("changed");
  announce("All pictures deleted");
  if (onStage().kind === "picture") show(showEmpty);
}

function stop() {
  const shown = onStage();
  const job = shown.kind === "job" ? shown.job : queue.jobs[0];
  if (job) queue.stop(job);
}

let asking = Promise.resolve(); // one question after the other

function asked(title, text, yes, withKey = false) {
  asking = asking.then(() => {
    byId("ask-title").textContent = title;
    byId("ask-text").textContent = text;
    byId("ask-yes").textContent = yes;
    byId("ask-field").hidden = !withKey;
    return confirmWith(byId("ask"));
  });
  return asking;
}

// Start

function place(served) {
  const text = placeWords(served);
  byId("served").hidden = !text;
  byId("served").textContent = text;
  byId("served").title = text ? `Served from ${text}` : "";
}

async function learn() {
  let wait = 1000;
  for (;;) {
    try {
      const answer = await (await ask("api/info")).json();
      if (JSON.stringify(info?.models) !== JSON.stringify(answer.models)) offer(answer); // hashes come with the weights
      info = answer;
      place(answer.served);
      byId("phase").hidden = answer.phase === "ready";
      if (answer.phase === "ready") return;
      byId("phase-text").textContent = `The server is not ready yet: ${answer.phase}${answer.detail ? `, ${answer.detail}` : ""}`;
      byId("phase-bar").value = answer.progress;
    } catch (trouble) {
      byId("phase").hidden = false;
      byId("phase-text").textContent = `${trouble.message}${trouble.retry ? "; trying again" : ""}`;
      if (!trouble.retry) return;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 1.5, 5000);
  }
}

function listen() {
  for (const [id, run] of Object.entries(actions)) byId(id).addEventListener("click", run);
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(read(), true);
  });
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("composer").requestSubmit();
    else if (event.key === "Escape" && !event.target.matches?.("select")) stop();
    else return;
    event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => !document.hidden && (document.title = TITLE));
}

async function startGallery() {
  store = await openStore();
  gallery = new Gallery(store, {
    job: (job) => show(() => showJob(job), (follow = true)),
    async picture(about) {
      follow = false;
      const blob = await store.blob(about.id);
      if (blob) show(() => showPicture(about, blob));
    },
    remove,
  });
  if (!store.lasting) byId("gallery-note").textContent = "This browser keeps nothing here: download what you like.";
  if ("BroadcastChannel" in window) {
    others = new BroadcastChannel("gpu-hunter-pictures");
    others.onmessage = () => gallery.sync();
  }
  await gallery.load();
  for (const job of queue.jobs) gallery.job(job);
}

async function askForKey() {
  byId("key").value = "";
  const given = await asked("API key", "This server asks for a key. It is kept until this tab is closed.", "Use it", true);
  if (given) setKey(byId("key").value.trim(), byId("user").value.trim());
  return given;
}

let keyAsked = null; // several requests may need it at once

onKeyNeeded(() => (keyAsked ??= askForKey().finally(() => (keyAsked = null))));
startTheme();
startForm();
startStart();
startPainter();
startFiles(opened);
startStage();
listen();
byId("generate").disabled = false;
startGallery();
learn();
