// What every page does: forget at once what is forgotten elsewhere, and never come back from a cache.
import { ask } from "./ask.js";
import "./forms.js";
import { away, hush, show } from "./live.js";
import { silence } from "./sound.js";

const PATIENCE_MS = 15000;
const AGAIN_MS = 2000;
const CHUNK = 500;
const news = document.getElementById("news");
const main = document.getElementById("main");
const channel = new BroadcastChannel("anechoic");
let lost;
let again;
let now = null;
let isDeaf = false;
let isOut = false;

document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

export function tell(text, act) {
  const it = document.createElement(act ? "button" : "p");
  it.textContent = text;
  if (act) it.addEventListener("click", act);
  news.replaceChildren(it);
  if (!act) setTimeout(() => it.remove(), 6000);
}

// A page that the browser kept may show what is gone.
addEventListener("pageshow", (event) => {
  if (event.persisted) { conceal("Loading anew…"); location.reload(); }
});
addEventListener("pagehide", () => silence());

export function conceal(text, more = "") {
  silence();
  const it = document.createElement("div");
  it.className = "empty";
  for (const [name, words] of [["big", text], ["", more]]) {
    const line = document.createElement(name ? "h1" : "p");
    line.className = name;
    line.textContent = words;
    it.append(line);
  }
  main.replaceChildren(it);
  main.focus();
}

export async function check() {
  const shown = [...new Set([...document.querySelectorAll("[data-interaction]")].map((it) => it.dataset.interaction))];
  let living = {};
  try {
    for (let at = 0; at < shown.length; at += CHUNK) {
      const answer = await ask("/living", { ids: shown.slice(at, at + CHUNK).join(" ") });
      living = { ...living, ...(await answer.json()) };
    }
  } catch (error) {
    clearTimeout(again);
    if (error.isOut) out();
    else again = setTimeout(check, 1000);
    return;
  }
  const gone = shown.filter((id) => !(living[id] || []).includes("words"));
  for (const id of gone) forget(id);
  for (const id of shown.filter((it) => !gone.includes(it) && !living[it].includes("sound"))) mute(id);
  if (gone.length) dispatchEvent(new CustomEvent("forgotten"));
}

function forget(id) {
  silence(id);
  for (const it of document.querySelectorAll(`[data-interaction="${id}"]`)) {
    if ("whole" in it.dataset) { conceal("This has been forgotten.", "Its keys are destroyed; its receipt is under “Receipts”."); continue; }
    if (it.closest("[data-together]")) { conceal("Something of this has been forgotten meanwhile.", "So the plan is another one. Ask for it anew."); continue; }
    if (it.contains(document.activeElement)) main.focus();
    const day = it.closest(".day, .card, .result");
    it.remove();
    if (day && !day.querySelector("[data-interaction]")) day.remove();
  }
}

function mute(id) {
  silence(id);
  for (const it of document.querySelectorAll(`[data-sound="${id}"]`)) it.remove();
}

export function out() {
  isOut = true;
  away();
  conceal("This page is closed.", "Open the link that “anechoic serve” shows in its terminal.");
  channel.close();
}

// One page listens for all others of this browser, which allows a server but a few connections. A stream that
// was refused is asked for again: nobody else would.
function listen() {
  if (isOut) return;
  const source = new EventSource("/events");
  const said = (it) => { hear(it); channel.postMessage(it); };
  source.onopen = () => { isDeaf = false; said({ what: "open" }); };
  source.onerror = () => {
    now = null;
    isDeaf = true;
    said({ what: "lost" });
    if (source.readyState !== EventSource.CLOSED) return;
    check();
    setTimeout(listen, AGAIN_MS);
  };
  source.addEventListener("erased", () => said({ what: "erased" }));
  source.addEventListener("heard", () => said({ what: "heard" }));
  source.addEventListener("now", (event) => {
    now = JSON.parse(event.data);
    said({ what: "now", now });
  });
}

function hear(it) {
  if (it.what === "new") {
    if (now) channel.postMessage({ what: "now", now });
    if (isDeaf) channel.postMessage({ what: "lost" });
    return;
  }
  if (it.what === "lost") {
    hush();
    lost ||= setTimeout(() => { conceal("The connection is lost.", "While nobody can say whether it may still be shown, nothing is. Load the page anew."); away(); }, PATIENCE_MS);
    return;
  }
  clearTimeout(lost);
  lost = undefined;
  if (it.what === "now") show(it.now);
  else if (it.what === "heard") dispatchEvent(new CustomEvent("heard"));
  else { hush(); check(); }
}

channel.onmessage = (event) => hear(event.data);
channel.postMessage({ what: "new" });
document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });
if (navigator.locks) navigator.locks.request("anechoic-events", () => new Promise(listen));
else listen();
check(); // something may have been forgotten between the making of this page and now
