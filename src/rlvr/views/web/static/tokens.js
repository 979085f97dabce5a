// Tokens and long conversations: one token's numbers, ranges, and places that stand on another part.
const TOKEN = /^(?:s(\d+))?t(\d+)(?:-(\d+))?$/;
const MESSAGE = /^(?:m(\d+)|turn(\d+)|c(\d+)-\d+)$/;
let chosen = null;

function anchor(sequence, place) { return sequence ? `s${sequence}t${place}` : `t${place}`; }

// A token's numbers stand in its title; here they are said, and kept while the page is read.
function choose(token) {
  const card = document.getElementById("card");
  if (!card || !token) return;
  chosen?.classList.remove("here");
  chosen = token;
  token.classList.add("here");
  const [title, ...numbers] = token.title.split(" · ");
  const found = TOKEN.exec(token.id);
  const at = `${found[1] ?? 0}:${found[2]}`;
  const heading = document.createElement("h2");
  heading.textContent = `${title}: ${token.textContent}`;
  const line = document.createElement("p");
  line.textContent = numbers.join(" · ");
  const more = document.createElement("a");
  const url = new URL(location.href);
  url.searchParams.set("at", at);
  url.hash = token.id;
  more.href = url.href;
  more.textContent = "all that is known of it";
  card.replaceChildren(heading, line, more);
  token.scrollIntoView({ block: "nearest" });
}

function beside(token, by) {
  const all = [...document.querySelectorAll("#strip [id][title]")];
  return all[all.indexOf(token) + by];
}

// The part of a page that an anchor names is on this page, or on another that the server knows.
function land() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (!name || document.getElementById(name)) return;
  const range = TOKEN.exec(name);
  if (range && document.getElementById("strip")) mark(Number(range[1] ?? 0), Number(range[2]), Number(range[3] ?? range[2]), name);
  const place = MESSAGE.exec(name);
  if (place && document.getElementById("conversation")) {
    elsewhere(place[2] ? { turn: place[2] } : { m: place[1] ?? place[3] });
  }
}

function mark(sequence, first, last, name) {
  const begins = document.getElementById(anchor(sequence, first));
  if (!begins) { elsewhere({ at: `${sequence}:${name.split("t")[1]}` }); return; }
  for (let at = first; at <= last; at += 1) {
    document.getElementById(anchor(sequence, at))?.classList.add("at");
  }
  begins.scrollIntoView({ block: "center" });
}

function elsewhere(asked) {
  const url = new URL(location.href);
  for (const name of ["at", "page", "turn", "m"]) {
    if (url.searchParams.get(name) === String(asked[name])) return; // it is not there either
    url.searchParams.delete(name);
  }
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  location.replace(url.href);
}

export function places() {
  if (!document.querySelector("#strip, #conversation")) return;
  land();
  window.addEventListener("hashchange", land);
  document.addEventListener("click", (event) => {
    const token = event.target.closest("#strip [id][title]");
    if (token && !getSelection().toString()) choose(token);
  });
  document.addEventListener("keydown", (event) => {
    if (!chosen || event.target.closest("input,textarea,select,dialog[open]")) return;
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    choose(beside(chosen, event.key === "ArrowRight" ? 1 : -1));
    event.preventDefault();
  });
}
