// The big picture: what is being drawn, or one that is done, with what can be made of it.

import { announce, byId, make, plural } from "./dom.js";
import { fractionOf, words } from "./queue.js";

const SMALL = 300; // pixels; pictures below it are shown enlarged, each pixel as a sharp square
let shown = { kind: "empty" };
let url = "";
let size = null;

export const onStage = () => shown;

export function startStage() {
  new ResizeObserver(fit).observe(byId("mat"));
}

function clear(what) {
  shown = what;
  for (const id of ["empty", "coming", "picture", "trouble", "working", "about"]) byId(id).hidden = true;
}

export function showEmpty() {
  clear({ kind: "empty" });
  byId("empty").hidden = false;
}

export function showJob(job) {
  const first = shown.job !== job;
  if (first) {
    clear({ kind: "job", job });
    byId("picture").removeAttribute("src");
    byId("coming").textContent = job.prompt;
    byId("coming").hidden = false;
    byId("stage").setAttribute("aria-busy", "true");
  }
  if (job.preview) {
    byId("coming").hidden = true;
    draw(job.preview, `Preview: ${job.prompt}`, job.settings, "rough");
  }
  byId("working").hidden = false;
  byId("bar").value = fractionOf(job);
  byId("working-text").textContent = words(job);
  announce(spoken(job));
}

// Quarters only: a step a second read aloud is noise.
function spoken(job) {
  if (job.state !== "drawing") return words(job);
  const quarter = Math.floor(fractionOf(job) * 4) * 25;
  return quarter === 0 ? "Drawing" : `${quarter} % drawn`;
}

export function showPicture(about, blob) {
  clear({ kind: "picture", about, blob });
  byId("stage").setAttribute("aria-busy", "false");
  if (url) URL.revokeObjectURL(url);
  url = URL.createObjectURL(blob);
  draw(url, about.prompt || "Picture without a prompt", about, about.width && Math.max(about.width, about.height) < SMALL ? "small" : "");
  Object.assign(byId("download"), { href: url, download: fileName(about) });
  byId("about").hidden = false;
  byId("delete").hidden = !about.id;
  for (const id of ["vary", "enlarge", "use-settings"]) byId(id).hidden = !about.settings;
  byId("use-seed").hidden = about.settings?.seed === undefined || about.settings.seed === null;
  byId("copy").hidden = !about.infotext;
  byId("about-prompt").textContent = about.prompt;
  byId("about-list").replaceChildren(...facts(about).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function facts({ settings: s, width, height, model, served, seconds }) {
  const all = [["Size", width ? `${width} × ${height}` : ""]];
  if (s) {
    all.push(["Seed", s.seed ?? ""], ["Steps", s.steps ?? ""], ["Guidance", s.cfg_scale ?? ""], ["Sampler", s.sampler ?? ""]);
    all.push(["Schedule", s.scheduler === "Automatic" ? "" : (s.scheduler ?? "")]);
    all.push(["Variation", s.variation ? `${s.variation.strength} of ${s.variation.seed}` : ""]);
    all.push(["Enlarged", s.hires ? `${s.hires.scale} times` : ""], ["Start picture", s.started ? "yes" : ""], ["Left out", s.negative_prompt ?? ""]);
  }
  all.push(["Model", model ?? ""], ["Drawn", placeWords(served)], ["Took", seconds ? `${seconds.toFixed(1)} s` : ""]);
  return all.filter(([, value]) => value !== "").map(([name, value]) => [name, String(value)]);
}

export function placeWords(served) {
  const known = (text) => (text && text !== "unknown" ? text : "");
  return [known(served?.region), known(served?.gpu), known(served?.version)].filter(Boolean).join(", ");
}

const fileName = (about) => {
  const text = about.prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60).replace(/^-|-$/g, "");
  return `${text || "picture"}${about.settings?.seed === undefined ? "" : `-${about.settings.seed}`}.png`;
};

export function showTrouble(message, job) {
  clear({ kind: "trouble", job });
  byId("stage").setAttribute("aria-busy", "false");
  byId("trouble-text").textContent = message;
  byId("trouble").hidden = false;
}

export function finishedWords(job) {
  return `${plural(job.count, "picture", "pictures")} finished: ${job.prompt || "no prompt"}`;
}

function draw(source, alt, { width, height, hires }, kind) {
  const picture = byId("picture");
  const scale = hires?.scale ?? 1;
  size = width ? { width: width * scale, height: height * scale } : null;
  picture.alt = alt;
  picture.className = kind;
  picture.hidden = false;
  if (picture.getAttribute("src") !== source) picture.src = source;
  picture.onload = fit;
  fit();
}

// As large as the place allows; small ones by a whole number of screen pixels, which keeps their pixels square and sharp.
function fit() {
  const picture = byId("picture");
  if (picture.hidden) return;
  const { width, height } = size ?? { width: picture.naturalWidth, height: picture.naturalHeight };
  const mat = byId("mat");
  const inset = parseFloat(getComputedStyle(mat).paddingLeft) * 2;
  let scale = Math.min((mat.clientWidth - inset) / width, (mat.clientHeight - inset) / height);
  if (!(scale > 0) || !width) return;
  const ratio = window.devicePixelRatio || 1;
  if (Math.max(width, height) < SMALL && scale * ratio >= 1) scale = Math.floor(scale * ratio) / ratio;
  picture.style.width = `${width * scale}px`;
  picture.style.height = `${height * scale}px`;
}
