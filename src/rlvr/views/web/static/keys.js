// Keys. A link that has `data-key` is followed by that key; the others move among marked places.
let pending = "";

function places(selector) {
  return [...document.querySelectorAll(selector)].filter((one) => one.offsetParent !== null);
}

// The next or previous of some places, from the one that is marked or stands at the top.
function move(selector, by) {
  const found = places(selector);
  if (!found.length) return;
  const marked = found.findIndex((one) => one.classList.contains("here"));
  let at = marked + by;
  if (marked < 0) {
    const below = found.findIndex((one) => one.getBoundingClientRect().top >= 0);
    at = by > 0 ? Math.max(below, 0) : below - 1;
  }
  go(found[Math.min(Math.max(at, 0), found.length - 1)]);
}

function go(place) {
  for (const one of document.querySelectorAll(".here")) one.classList.remove("here");
  place.classList.add("here");
  place.closest("details")?.setAttribute("open", "");
  place.scrollIntoView({ block: "nearest" });
  const target = place.matches("a,button,[tabindex]") ? place : place.querySelector("a,button,summary");
  (target ?? place).focus({ preventScroll: true });
}

const MOVES = { j: ["[data-item]", 1], k: ["[data-item]", -1], n: ["[data-stop]", 1], p: ["[data-stop]", -1], J: ["[data-sibling]", 1], K: ["[data-sibling]", -1] };

// The link of a key: the marked place's own, else the page's.
function linked(key) {
  const named = `[data-key="${CSS.escape(key)}"]`;
  return document.querySelector(`.here ${named}`) ?? document.querySelector(named);
}

export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input,textarea,select,dialog[open]")) return;
    const pressed = pending ? `${pending} ${event.key}` : event.key;
    pending = "";
    if (pressed === "g") { pending = "g"; setTimeout(() => { pending = ""; }, 1500); return; }
    const link = linked(pressed);
    if (link) link.click();
    else if (MOVES[pressed]) move(...MOVES[pressed]);
    else if (pressed === "/") document.getElementById("find").focus();
    else if (pressed === "y") act("link");
    else if (pressed === "?") act("help");
    else return;
    event.preventDefault();
  });
}
