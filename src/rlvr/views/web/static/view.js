// What a page does beyond being read: keys, following a live run, the theme, copying a link.
// Every page is whole without it.
import { follow } from "./live.js";
import { listen } from "./keys.js";
import { places } from "./tokens.js";

const THEMES = ["", "light", "dark"];

function themed(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function say(text) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  setTimeout(() => { if (toast.textContent === text) toast.textContent = ""; }, 2500);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("copied");
  } catch {
    say(text); // no clipboard over plain http to another name: it can be marked and copied by hand
  }
}

// The address of this page, at the item that the person is at.
function here() {
  const item = document.querySelector("[data-item].here[id]");
  return location.href.split("#")[0] + (item ? `#${item.id}` : location.hash);
}

const ACTS = {
  theme() {
    const next = THEMES[(THEMES.indexOf(localStorage.getItem("theme") ?? "") + 1) % THEMES.length];
    localStorage.setItem("theme", next);
    themed(next);
    say(`theme: ${next || "as the system's"}`);
  },
  help() { document.getElementById("keys").showModal(); },
  copy(button) { copy(document.getElementById(button.dataset.from).textContent); },
  link() { copy(here()); },
};

export function act(name, element) { ACTS[name]?.(element); }

themed(localStorage.getItem("theme") ?? "");
for (const button of document.querySelectorAll("[data-act]")) button.hidden = false;
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) act(button.dataset.act, button);
});
listen(act);
follow();
places();
