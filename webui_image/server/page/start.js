// The picture to start from (img2img) and its mask. It leaves the browser only with a request that uses it.

import { byId, toast } from "./dom.js";
import { paintMask } from "./painter.js";

const FIT_BYTES = 6 * 1024 * 1024; // of one picture in a request; larger files are made smaller here
let start = null; // { blob, url, mask and painted: blobs or null, maskUrl }

let painting = null; // a mask may still be in the making when a request is sent

export const startPicture = () => start;

export function startStart() {
  byId("mask-edit").addEventListener("click", () => (painting = paint()));
  byId("start-remove").addEventListener("click", () => {
    removeStart();
    byId("start-open").focus();
  });
  summary();
}

async function paint() {
  const made = await paintMask(start.blob, start.painted);
  if (made !== undefined) setMask(made ?? { mask: null, painted: null });
}

// Takes a picture as the start; resolves to false, with a message, where the browser cannot read it.
export async function setStart(blob, limits) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    toast("This file is not a picture that the browser can read");
    return false;
  }
  const fitting = await smaller(blob, bitmap, limits.input_pixels);
  bitmap.close();
  removeStart();
  start = { blob: fitting, url: URL.createObjectURL(fitting), mask: null, painted: null, maskUrl: "" };
  byId("start-image").src = start.url;
  byId("start-none").hidden = true;
  byId("start-some").hidden = false;
  byId("fold-start").open = true;
  summary();
  return true;
}

export function removeStart() {
  if (start) for (const url of [start.url, start.maskUrl]) if (url) URL.revokeObjectURL(url);
  start = null;
  byId("start-image").removeAttribute("src");
  byId("start-mask").hidden = true;
  byId("mask-options").hidden = true;
  byId("start-none").hidden = false;
  byId("start-some").hidden = true;
  summary();
}

function setMask({ mask, painted }) {
  if (start.maskUrl) URL.revokeObjectURL(start.maskUrl);
  Object.assign(start, { mask, painted, maskUrl: mask ? URL.createObjectURL(painted) : "" });
  byId("start-mask").hidden = !mask;
  if (mask) byId("start-mask").src = start.maskUrl;
  byId("mask-options").hidden = !mask;
  summary();
}

function summary() {
  byId("sum-start").textContent = start === null ? "none" : start.mask ? "with a mask" : "set";
}

// The fields of the request that speak of the start picture; empty where there is none.
export async function startFields() {
  await painting;
  if (!start) return {};
  const fields = {
    image: await dataUri(start.blob), denoising_strength: Number(byId("denoising_strength").value),
    resize_mode: byId("resize_mode").value,
  };
  if (!start.mask) return fields;
  return {
    ...fields, mask: await dataUri(start.mask), mask_blur: Number(byId("mask_blur").value),
    only_masked: byId("only_masked").checked, mask_invert: byId("mask_invert").checked,
  };
}

function dataUri(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function smaller(blob, bitmap, pixels) {
  const scale = Math.min(1, Math.sqrt(pixels / (bitmap.width * bitmap.height)));
  if (scale === 1 && blob.size <= FIT_BYTES) return blob;
  const canvas = new OffscreenCanvas(Math.max(1, Math.floor(bitmap.width * scale)), Math.max(1, Math.floor(bitmap.height * scale)));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}
