// The ways in which a file comes to the page: chosen, dropped or pasted.

import { byId } from "./dom.js";

export function pick(use) {
  const input = byId("file");
  input.value = "";
  input.onchange = () => input.files.length && use(input.files[0]);
  input.click();
}

export function startFiles(use) {
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (file) use(file);
  });
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    byId("veil").hidden = false;
  });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && (byId("veil").hidden = true));
  document.addEventListener("drop", (event) => {
    byId("veil").hidden = true;
    if (!carries(event)) return;
    event.preventDefault();
    use(event.dataTransfer.files[0]);
  });
}

