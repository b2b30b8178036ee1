// Tiles: requests that are under way first, then the kept pictures, the newest first. One tab stop; arrows move inside.

import { byId, make } from "./dom.js";
import { fractionOf, words } from "./queue.js";

const PAGE = 24;

export class Gallery {
  // `hooks`: job(job), picture(about) when one is chosen; remove(about) when Delete is pressed on one.
  constructor(store, hooks) {
    this.store = store;
    this.hooks = hooks;
    this.jobs = new Map(); // job -> its tile
    this.pictures = new Map(); // id -> its tile, newest first
    this.rest = []; // known, but not shown yet
    byId("tiles").addEventListener("keydown", (event) => this.keyed(event));
    byId("tiles").addEventListener("focusin", (event) => this.tabStop(event.target));
    byId("older").addEventListener("click", () => this.older());
  }

  async load() {
    for (const tile of this.pictures.values()) this.drop(tile);
    this.pictures.clear();
    this.rest = await this.store.list();
    await this.older();
  }

  // Takes over what another tab has added or deleted.
  async sync() {
    const all = await this.store.list();
    const ids = new Set(all.map((each) => each.id));
    for (const id of [...this.pictures.keys()]) if (!ids.has(id)) this.remove(id);
    this.rest = this.rest.filter((each) => ids.has(each.id));
    const oldest = this.rest.length ? Math.min(...this.pictures.keys()) : 0;
    for (const about of all.filter(({ id }) => id > oldest && !this.pictures.has(id))) {
      this.put(about, await this.store.blob(about.id));
    }
    this.tidy();
  }

  async older() {
    const next = this.rest.splice(0, PAGE);
    for (const about of next) this.put(about, await this.store.blob(about.id));
    this.tidy();
  }

  put(about, blob) {
    if (!blob || this.pictures.has(about.id)) return;
    const image = make("img", { alt: "", src: URL.createObjectURL(blob), class: Math.max(about.width, about.height) < 300 ? "small" : "" });
    const button = make("button", { type: "button", "aria-label": about.prompt || "Picture without a prompt", click: () => this.hooks.picture(about) }, image);
    const tile = make("li", {}, button);
    tile.about = about;
    this.pictures.set(about.id, tile);
    const older = [...this.pictures.values()].filter((each) => each.about.id < about.id);
    byId("tiles").insertBefore(tile, older.sort((a, b) => b.about.id - a.about.id)[0] ?? null);
    this.tidy();
  }

  remove(id) {
    const tile = this.pictures.get(id);
    this.rest = this.rest.filter((each) => each.id !== id);
    if (!tile) return;
    const neighbour = tile.nextElementSibling ?? tile.previousElementSibling;
    const focused = tile.contains(document.activeElement);
    this.pictures.delete(id);
    this.drop(tile);
    if (focused) (neighbour?.querySelector("button") ?? byId("gallery")).focus();
    this.tidy();
  }

  drop(tile) {
    URL.revokeObjectURL(tile.querySelector("img").src);
    tile.remove();
  }

  job(job) {
    let tile = this.jobs.get(job);
    if (!tile) {
      const image = make("img", { alt: "", hidden: true });
      const state = make("span", { class: "state" }, make("span", {}), make("progress", { max: 1, value: 0, "aria-hidden": "true" }));
      tile = make("li", {}, make("button", { type: "button", click: () => this.hooks.job(job) }, image, state));
      const last = [...this.jobs.values()].pop();
      if (last) last.after(tile);
      else byId("tiles").prepend(tile);
      this.jobs.set(job, tile);
      this.tidy();
    }
    const text = words(job, true);
    tile.querySelector(".state span").textContent = text;
    tile.querySelector("button").setAttribute("aria-label", `${text}: ${job.prompt}`);
    tile.querySelector("progress").value = fractionOf(job);
    if (!job.preview) return;
    tile.querySelector("img").hidden = false;
    tile.querySelector("img").src = job.preview;
  }

  jobOver(job) {
    const tile = this.jobs.get(job);
    const focused = tile?.contains(document.activeElement);
    tile?.remove();
    this.jobs.delete(job);
    this.tidy();
    if (focused) (byId("tiles").querySelector("button") ?? byId("gallery")).focus();
  }

  // Marks what is on the stage.
  mark(shown) {
    for (const [job, tile] of this.jobs) current(tile, shown.job === job);
    for (const [id, tile] of this.pictures) current(tile, shown.about?.id === id);
  }

  tidy() {
    byId("older").hidden = this.rest.length === 0;
    byId("delete-all").hidden = this.pictures.size === 0;
    const buttons = [...byId("tiles").querySelectorAll("button")];
    if (!buttons.some((each) => each.tabIndex === 0) || buttons.filter((each) => each.tabIndex === 0).length > 1) this.tabStop(buttons[0]);
  }

  tabStop(button) {
    for (const each of byId("tiles").querySelectorAll("button")) each.tabIndex = each === button ? 0 : -1;
  }

  keyed(event) {
    const buttons = [...byId("tiles").querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = getComputedStyle(byId("tiles")).gridTemplateColumns.split(" ").length;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const target = by ? at + by : { Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === "Delete" && buttons[at].parentElement.about) this.hooks.remove(buttons[at].parentElement.about);
    else if (target === undefined) return;
    else buttons[Math.min(Math.max(target, 0), buttons.length - 1)].focus();
    event.preventDefault();
  }
}

function current(tile, is) {
  if (is) tile.querySelector("button").setAttribute("aria-current", "true");
  else tile.querySelector("button").removeAttribute("aria-current");
}
