// The form and its values. "Settings" are the body of api/generate without pictures; they are remembered in this browser,
// lie with each kept picture, and are what a PNG's text is turned into.

import { byId, make, remember, remembered } from "./dom.js";

const PLAIN = ["width", "height", "steps", "cfg_scale", "sampler"];
const LARGEST_SEED = 2 ** 32 - 1;
let info = null;

export const modelNow = () => info.models.find((each) => each.name === byId("model").value) ?? info.models[0];

export function startForm() {
  for (const range of document.querySelectorAll("#composer input[type=range]")) {
    const number = byId(range.id.replace(/-range$/, ""));
    range.addEventListener("input", () => {
      number.value = range.value;
      changed(number.name);
    });
    number.addEventListener("input", () => (range.value = number.value));
    range.value = number.value;
  }
  byId("composer").addEventListener("input", (event) => changed(event.target.name));
  byId("composer").addEventListener("change", (event) => changed(event.target.name));
  byId("fewer").addEventListener("click", () => count(-1));
  byId("more").addEventListener("click", () => count(1));
  byId("seed-clear").addEventListener("click", () => fill({ seed: null }));
  byId("recommended").addEventListener("click", () => fill(recommendedOf(modelNow())));
  byId("sampler").addEventListener("change", () => schedules());
  byId("model").addEventListener("change", () => {
    examples();
    fill(recommendedOf(modelNow()));
  });
}

// Fits the form to what the server offers; what was typed before it answered is kept.
export function offer(answer) {
  info = answer;
  const { limits } = info;
  options("model", info.models.map((each) => [each.name, each.title]));
  byId("model-field").hidden = info.models.length < 2;
  options("sampler", info.samplers.map(({ name }) => [name, name]));
  options("hires.upscaler", info.upscalers.map((each) => [each, each]));
  for (const id of ["width", "height"]) Object.assign(byId(id), { min: limits.smallest_side, max: limits.largest_side });
  for (const id of ["steps", "steps-range"]) byId(id).max = limits.steps;
  byId("count").max = limits.pictures;
  byId("prompt").maxLength = limits.prompt_characters;
  const kept = remembered("settings");
  const typed = byId("prompt").value;
  const known = kept && (!kept.model || info.models.some((each) => each.name === kept.model));
  fill({ ...(info.models.length ? recommendedOf(info.models[0]) : {}), ...(known ? kept : { prompt: kept?.prompt ?? "" }) });
  if (typed) byId("prompt").value = typed;
  examples();
}

function recommendedOf({ name, recommended: best }) {
  const { width, height, steps, cfg_scale, sampler, scheduler, negative_prompt } = best;
  return { model: name, width, height, steps, cfg_scale, sampler, scheduler, negative_prompt };
}

function options(id, pairs) {
  byId(id).replaceChildren(...pairs.map(([value, label]) => make("option", { value }, label)));
}

// Not every sampler goes with every schedule; the list shows those that do.
function schedules(wanted = byId("scheduler").value) {
  const sampler = info.samplers.find(({ name }) => name === byId("sampler").value) ?? info.samplers[0];
  options("scheduler", sampler.schedulers.map((each) => [each, each]));
  byId("scheduler").value = sampler.schedulers.includes(wanted) ? wanted : sampler.schedulers[0];
}

function examples() {
  const texts = info.models.length ? modelNow().recommended.examples : [];
  byId("examples").replaceChildren(
    ...texts.slice(0, 4).map((text) => make("button", { type: "button", title: text, click: () => usePrompt(text) }, text)),
  );
}

function usePrompt(text) {
  fill({ prompt: text });
  byId("prompt").focus();
}

function count(by) {
  const most = Number(byId("count").max);
  byId("count").value = Math.min(Math.max((Number(byId("count").value) || 1) + by, 1), most);
  changed("count");
}

// Writes settings into the form; what they do not name stays, except that naming a seed decides about the variation too.
export function fill(settings) {
  const set = (id, value) => {
    byId(id).value = value ?? "";
    const range = byId(`${id}-range`);
    if (range) range.value = value ?? 0;
  };
  for (const id of ["prompt", "negative_prompt", "count", "seed", ...PLAIN]) if (id in settings) set(id, settings[id]);
  if (info && ("sampler" in settings || "scheduler" in settings)) schedules(settings.scheduler);
  if (settings.model) set("model", settings.model);
  if ("exact" in settings) byId("exact").checked = Boolean(settings.exact);
  if ("previews" in settings) byId("previews").checked = Boolean(settings.previews);
  if ("seed" in settings || "variation" in settings) {
    set("variation.strength", settings.variation?.strength ?? 0);
    set("variation.seed", settings.variation?.seed);
  }
  if ("hires" in settings) {
    byId("hires").checked = Boolean(settings.hires);
    for (const id of ["scale", "denoising_strength", "upscaler"]) {
      if (settings.hires?.[id] !== undefined) set(`hires.${id}`, settings.hires[id]);
    }
    if (settings.hires) set("hires.steps", settings.hires.steps || "");
  }
  clearErrors();
  changed();
}

// Gives the settings as they stand; a seed left open is null. An empty number means: as the model draws best.
export function read() {
  const best = recommendedOf(modelNow());
  const number = (id, otherwise) => (byId(id).value.trim() === "" ? otherwise : Number(byId(id).value));
  const settings = {
    prompt: byId("prompt").value.trim(), negative_prompt: byId("negative_prompt").value.trim(), model: best.model,
    sampler: byId("sampler").value, scheduler: byId("scheduler").value, seed: number("seed", null),
    count: number("count", 1), exact: byId("exact").checked, previews: byId("previews").checked,
  };
  for (const id of ["width", "height", "steps", "cfg_scale"]) settings[id] = number(id, best[id]);
  const strength = number("variation.strength", 0);
  settings.variation = strength > 0 ? { seed: number("variation.seed", null), strength } : null;
  settings.hires = byId("hires").checked ? hires(number) : null;
  return settings;
}

function hires(number) {
  return {
    scale: number("hires.scale", 2), denoising_strength: number("hires.denoising_strength", 0.5),
    upscaler: byId("hires.upscaler").value, steps: number("hires.steps", 0),
  };
}

// Draws the seeds that were left open. The page draws them, so that a request can be sent again and give the same picture.
export function withSeeds(settings) {
  const drawn = { ...settings, seed: settings.seed ?? randomSeed(settings.count) };
  if (drawn.variation) drawn.variation = { ...drawn.variation, seed: drawn.variation.seed ?? randomSeed(settings.count) };
  return drawn;
}

export function randomSeed(count = 1) {
  return Math.min(crypto.getRandomValues(new Uint32Array(1))[0], LARGEST_SEED - count);
}

function changed(name) {
  if (name) clearError(name);
  if (!info?.models.length) return;
  const settings = read();
  remember("settings", settings);
  summaries(settings);
  sizes(settings);
}

function summaries({ width, height, steps, negative_prompt, seed, variation, hires: second }) {
  byId("sum-size").textContent = `${width} × ${height}, ${steps} steps`;
  byId("sum-negative").textContent = negative_prompt || "nothing";
  byId("sum-seed").textContent = (seed === null ? "random" : String(seed)) + (variation ? `, varied ${variation.strength}` : "");
  byId("sum-hires").textContent = second ? `${second.scale} times` : "off";
}

function sizes({ width, height }) {
  const { native_side: side, largest_side: largest } = modelNow().recommended;
  const { limits } = info;
  const eighths = (pixels) => Math.round(pixels / 8) * 8;
  const all = largest
    ? [...new Set([side, largest, side * 2, side * 4])].sort((a, b) => a - b).map((each) => [each > largest ? "Enlarged" : "Square", each, each])
    : [["Square", side, side], ["Portrait", eighths(side * 0.8), eighths(side * 1.2)],
       ["Landscape", eighths(side * 1.2), eighths(side * 0.8)], ["Wide", eighths(side * 1.5), eighths(side * 0.75)]];
  const fit = all.filter(([, w, h]) => Math.max(w, h) <= limits.largest_side && Math.min(w, h) >= limits.smallest_side && w * h <= limits.pixels);
  byId("sizes").replaceChildren(
    ...fit.map(([label, w, h]) =>
      make("button", { type: "button", "aria-pressed": String(w === width && h === height), click: () => fill({ width: w, height: h }) }, `${label} ${w} × ${h}`)),
  );
  const enlarged = largest > 0 && Math.max(width, height) > largest;
  byId("size-note").hidden = !enlarged;
  byId("size-note").textContent = `This model draws up to ${largest} × ${largest}; what is larger is drawn at ${side} and enlarged.`;
}

// Shows a message at its field and opens the fold that it is in; false where the page has no such field.
export function showError(field, message) {
  const input = byId(field) ?? byId(field.split(".")[0]);
  if (!field || !input?.closest("#composer")) return false;
  const fold = input.closest("details");
  if (fold) fold.open = true;
  const place = input.closest(".field, .inside");
  let note = byId(`${input.id}-error`);
  if (!note) place.append((note = make("p", { id: `${input.id}-error`, class: "error" })));
  note.textContent = message;
  note.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-errormessage", note.id);
  input.focus();
  return true;
}

function clearError(name) {
  byId(name)?.removeAttribute("aria-invalid");
  byId(name)?.removeAttribute("aria-errormessage");
  if (byId(`${name}-error`)) byId(`${name}-error`).hidden = true;
}

export function clearErrors() {
  for (const input of document.querySelectorAll("#composer [aria-invalid]")) clearError(input.id);
  byId("image-error").hidden = true;
}
