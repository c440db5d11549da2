// The timeline: older pages, search, marking, and what is new.
import { ask } from "./ask.js";
import { check, tell } from "./page.js";
import { attach, silence } from "./sound.js";

const rows = document.getElementById("rows");
const found = document.getElementById("found");
const search = document.getElementById("search");
const bar = document.getElementById("bar");

function into(place, html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const nodes = [...page.body.childNodes].map((it) => document.importNode(it, true));
  place.append(...nodes);
  attach(place);
  wire(place);
  check(); // the answer may be older than the last erasure
}

async function older(event) {
  event.preventDefault();
  const link = event.currentTarget;
  link.textContent = "Loading…";
  try {
    const answer = await fetch(link.href, { headers: { "x-anechoic-part": "1" }, cache: "no-store" });
    if (!answer.ok) throw new Error();
    const next = document.createElement("div");
    const html = await answer.text();
    link.parentElement.replaceWith(next);
    into(next, html);
    next.querySelector("a.words")?.focus({ preventScroll: true });
  } catch { location.href = link.href; }
}

function wire(place) {
  place.querySelector("#older")?.addEventListener("click", older);
  place.querySelector("#back")?.addEventListener("click", (event) => { if (search) { event.preventDefault(); clear(); search.words.focus(); } });
  place.querySelector("#all")?.addEventListener("click", () => {
    for (const it of place.querySelectorAll("input[name=id]")) it.checked = true;
    count();
  });
}

// What was heard meanwhile comes to the top; where days or people were chosen, it is only told of.
let coming = null;
function news() {
  if (!rows.isConnected) return; // a plan has taken its place
  if (!search || "filtered" in rows.dataset) { tell("Something new was heard. Show it", () => { location.href = "/"; }); return; }
  coming = (coming || Promise.resolve()).then(newer).catch(() => {});
}

async function newer() {
  const seen = rows.querySelector("[data-interaction]")?.dataset.interaction || "";
  const answer = await ask("/newer", { seen });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const shown = new Set([...rows.querySelectorAll("[data-interaction]")].map((it) => it.dataset.interaction));
  for (const day of [...page.querySelectorAll(".day")].reverse()) {
    for (const it of day.querySelectorAll("[data-interaction]")) {
      if (shown.has(it.dataset.interaction)) it.remove();
      else it.classList.add("fresh");
    }
    if (day.querySelector("[data-interaction]")) onTop(document.importNode(day, true));
  }
  document.getElementById("total").textContent = page.querySelector("[data-total]").dataset.total;
  check();
}

function onTop(day) {
  rows.querySelector(".empty")?.remove();
  attach(day);
  const first = rows.querySelector(".day");
  if (first?.querySelector("h2").textContent === day.querySelector("h2").textContent) {
    first.querySelector(".list").prepend(...day.querySelectorAll(".list > li"));
  } else rows.prepend(day);
}

function clear() {
  silence();
  found?.replaceChildren();
  rows.hidden = false;
  if (search) search.words.value = "";
  none();
}

function none() { for (const it of marked()) it.checked = false; count(); }
function marked() { return [...document.querySelectorAll("input[name=id]:checked")]; }

function count() {
  const number = marked().length;
  bar.hidden = !number;
  document.getElementById("picked").textContent = number ? `${number} chosen` : "";
}

search?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const words = search.words.value.trim();
  if (!words) { clear(); return; }
  try {
    const answer = await ask("/search", { words });
    const html = await answer.text();
    silence();
    none();
    found.replaceChildren();
    into(found, html);
    rows.hidden = true;
    found.querySelector(".result")?.focus({ preventScroll: true });
  } catch (error) { tell(error.problem || "The search did not work. Load the page anew."); }
});
search?.words.addEventListener("search", () => { if (!search.words.value) clear(); });
document.getElementById("none")?.addEventListener("click", none);
document.addEventListener("change", (event) => { if (event.target.name === "id") count(); });
addEventListener("forgotten", count);
addEventListener("heard", news);
addEventListener("sealed", news);
addEventListener("pagehide", () => { clear(); });
attach(document);
wire(document);
count();
