// Dark or light as the system says, unless the switch says otherwise.

import { byId, remember, remembered, setIcon } from "./dom.js";

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const WORDS = { auto: "as the system", light: "light", dark: "dark" };

export function startTheme() {
  apply(remembered("theme") ?? "auto");
  byId("theme").addEventListener("click", () => {
    const next = NEXT[document.documentElement.dataset.theme ?? "auto"];
    remember("theme", next);
    apply(next);
  });
}

function apply(theme) {
  if (theme in NEXT && theme !== "auto") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  const shown = document.documentElement.dataset.theme ?? "auto";
  setIcon(byId("theme"), shown);
  byId("theme").setAttribute("aria-label", `Colours: ${WORDS[shown]}`);
  byId("theme").title = `Colours: ${WORDS[shown]}`;
}
