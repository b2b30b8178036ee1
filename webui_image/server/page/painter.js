// Painting a mask over the start picture, with a pointer or with the keyboard alone: white is drawn anew.

import { announce, byId, confirmWith } from "./dom.js";

const COLOUR = "#ff2f6d"; // stands out on most pictures
const UNDOS = 20;
let brush = { x: 0, y: 0 };
let down = false;
let steps = [];

const canvas = () => byId("paint");
const context = () => canvas().getContext("2d", { willReadFrequently: true });
const radius = () => (Number(byId("brush").value) / 200) * Math.max(canvas().width, canvas().height) + 0.5;

// Lets the user paint, from what was painted before; resolves to { mask, painted }, two PNGs as large as the picture: black
// and white, and in colour to be shown; to null when nothing is painted, undefined when the user cancels.
export async function paintMask(picture, before) {
  const bitmap = await createImageBitmap(picture);
  for (const each of [byId("paint-picture"), canvas()]) {
    Object.assign(each, { width: bitmap.width, height: bitmap.height });
    const widest = `min(100%, ${Math.round((64 * bitmap.width) / bitmap.height)}vh)`;
    each.style.width = widest;
    each.style.imageRendering = bitmap.width < 300 ? "pixelated" : "auto";
  }
  byId("paint-picture").getContext("2d").drawImage(bitmap, 0, 0);
  if (before) context().drawImage(await createImageBitmap(before), 0, 0);
  brush = { x: bitmap.width / 2, y: bitmap.height / 2 };
  steps = [];
  byId("erase").checked = false;
  const done = await confirmWith(byId("painter"));
  if (!done) return undefined;
  if (!anything()) return null;
  return { mask: await blackAndWhite(), painted: await new Promise((resolve) => canvas().toBlob(resolve, "image/png")) };
}

function anything() {
  const { data } = context().getImageData(0, 0, canvas().width, canvas().height);
  for (let at = 3; at < data.length; at += 4) if (data[at] > 127) return true;
  return false;
}

function blackAndWhite() {
  const out = new OffscreenCanvas(canvas().width, canvas().height);
  const drawing = out.getContext("2d");
  drawing.drawImage(canvas(), 0, 0);
  for (const [how, colour] of [["source-in", "#ffffff"], ["destination-over", "#000000"]]) {
    Object.assign(drawing, { globalCompositeOperation: how, fillStyle: colour });
    drawing.fillRect(0, 0, out.width, out.height);
  }
  return out.convertToBlob({ type: "image/png" });
}

export function startPainter() {
  const paint = canvas();
  paint.addEventListener("pointerdown", (event) => {
    paint.setPointerCapture(event.pointerId);
    keep();
    down = true;
    brush = at(event);
    stroke(brush, brush, byId("erase").checked);
  });
  paint.addEventListener("pointermove", (event) => {
    if (!down) return;
    const next = at(event);
    stroke(brush, next, byId("erase").checked);
    brush = next;
  });
  for (const name of ["pointerup", "pointercancel"]) paint.addEventListener(name, () => (down = false));
  paint.addEventListener("keydown", keyed);
  byId("paint-undo").addEventListener("click", undo);
  byId("paint-clear").addEventListener("click", () => {
    keep();
    context().clearRect(0, 0, paint.width, paint.height);
  });
  byId("paint-done").addEventListener("click", () => byId("painter").close("yes"));
  byId("paint-cancel").addEventListener("click", () => byId("painter").close("no"));
}

function at(event) {
  const box = canvas().getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) / box.width) * canvas().width,
    y: ((event.clientY - box.top) / box.height) * canvas().height,
  };
}

function stroke(from, to, erase) {
  const drawing = context();
  drawing.globalCompositeOperation = erase ? "destination-out" : "source-over";
  Object.assign(drawing, { strokeStyle: COLOUR, lineWidth: radius() * 2, lineCap: "round", lineJoin: "round" });
  drawing.beginPath();
  drawing.moveTo(from.x, from.y);
  drawing.lineTo(to.x, to.y + 0.001); // a line of no length is not drawn
  drawing.stroke();
}

function keep() {
  steps.push(context().getImageData(0, 0, canvas().width, canvas().height));
  if (steps.length > UNDOS) steps.shift();
}

function undo() {
  const last = steps.pop();
  if (last) context().putImageData(last, 0, 0);
}

function keyed(event) {
  const by = Math.max(radius() / 2, 1);
  const moves = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] };
  if (event.key in moves) {
    const [x, y] = moves[event.key];
    brush = { x: clamp(brush.x + x, canvas().width), y: clamp(brush.y + y, canvas().height) };
    announce(`Brush at ${Math.round((100 * brush.x) / canvas().width)} % across, ${Math.round((100 * brush.y) / canvas().height)} % down`);
  } else if (event.key === " ") {
    keep();
    stroke(brush, brush, event.shiftKey || byId("erase").checked);
  } else if (event.key === "+" || event.key === "-") {
    byId("brush").value = Number(byId("brush").value) + (event.key === "+" ? 2 : -2);
  } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    undo();
  } else {
    return;
  }
  event.preventDefault();
}

const clamp = (value, most) => Math.min(Math.max(value, 0), most);
