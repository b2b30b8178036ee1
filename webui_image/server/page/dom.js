// Small helpers for the document. Text goes in as text nodes only: nothing that a user or a server wrote is ever parsed
// as markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#i-${name}`);
}

// What a screen reader hears; equal texts are said once.
export function announce(text) {
  if (byId("live").textContent !== text) byId("live").textContent = text;
}

let toastTimer = 0;

export function toast(text, action = null) {
  byId("toast-text").textContent = text;
  const button = byId("toast-action");
  button.hidden = action === null;
  button.textContent = action?.label ?? "";
  button.onclick = () => {
    byId("toast").hidden = true;
    action.run();
  };
  byId("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (byId("toast").hidden = true), action ? 9000 : 3500);
}

// A dialog that is asked and answered: resolves to true for its "yes" button.
export function confirmWith(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;

export function remembered(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null; // storage switched off, or not ours
  }
}

export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // storage switched off: settings last as long as the page
  }
}
