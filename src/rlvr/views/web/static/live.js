// Following a run that is being recorded, without the reader losing place.
// Regions change where they stand. Rows of a list wait behind a button, so that none jumps away.
import { Idiomorph } from "./idiomorph.js";

const EVERY_MS = 3000;
const QUIET = { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks: { beforeAttributeUpdated: kept } };
let etag = document.body.dataset.etag ?? "";

// What a person opened stays open, what they marked stays marked.
function kept(attribute, node) {
  return !(attribute === "open" || (attribute === "class" && node.classList.contains("here")));
}

export function follow() {
  if ("live" in document.body.dataset) setTimeout(look, EVERY_MS);
}

async function look() {
  try {
    if (!document.hidden) await poll();
  } catch {
    // The viewer was ended or the tunnel is down; what is on the page stays readable.
  }
  setTimeout(look, EVERY_MS);
}

async function poll() {
  const answer = await fetch(location.href, { headers: etag ? { "If-None-Match": etag } : {} });
  if (answer.status !== 200) return;
  etag = answer.headers.get("etag") ?? "";
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of fresh.querySelectorAll("[data-region][id]")) {
    const own = document.getElementById(region.id);
    if (own && !own.isEqualNode(region)) Idiomorph.morph(own, region, QUIET);
  }
  for (const rows of fresh.querySelectorAll("[data-rows][id]")) offer(rows);
}

function offer(rows) {
  const own = document.getElementById(rows.id);
  if (!own || own.isEqualNode(rows)) return;
  const more = rows.querySelectorAll("tbody tr").length - own.querySelectorAll("tbody tr").length;
  let button = document.querySelector(`button[data-for="${CSS.escape(rows.id)}"]`);
  if (!button) {
    button = document.createElement("button");
    button.className = "fresh";
    button.dataset.for = rows.id;
    own.before(button);
  }
  button.textContent = more > 0 ? `show ${more} new ${more === 1 ? "row" : "rows"}` : "show what changed";
  button.onclick = () => {
    Idiomorph.morph(own, rows, QUIET);
    button.remove();
  };
}
