// Sending forms: by this script alone, and never as a navigation, of which a browser writes down what was sent.
import { ask } from "./ask.js";
import { check, conceal, out, tell } from "./page.js";
import { silence } from "./sound.js";

const main = document.getElementById("main");
let isBusy = false;
let isShown = false;

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "dialog") return;
  event.preventDefault();
  send(form, new URLSearchParams(new FormData(form, event.submitter)));
});

async function send(form, fields) {
  if (isBusy) return;
  isBusy = true;
  const isLast = "last" in form.dataset;
  if (isLast) conceal("Forgetting…"); // what it shows may be gone before the answer is here
  try {
    const answer = await ask(form.getAttribute("action"), fields);
    if (answer.headers.get("content-type").startsWith("text/html")) show(await answer.text());
    else go((await answer.json()).to);
  } catch (error) {
    const what = error.problem || "There is no answer. Load the page anew.";
    if (error.isOut) out();
    else if (isLast) conceal("That did not work.", `${what} If it was done all the same, its receipt is under “Receipts”.`);
    else refuse(form, what);
  } finally { isBusy = false; }
}

// A plan takes the place of what was shown, at the same address: going back or loading anew leads there.
function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  silence();
  if (!isShown) history.pushState(null, "", location.href);
  isShown = true;
  main.replaceChildren(...[...page.getElementById("main").childNodes].map((it) => document.importNode(it, true)));
  document.title = page.title;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
  check();
}

function go(to) {
  if (isShown) location.replace(to);
  else location.assign(to);
}

function refuse(form, what) {
  form.querySelector(":scope > [role=alert]")?.remove();
  if (!form.querySelector("[type=submit]")) { tell(what); return; }
  const note = Object.assign(document.createElement("p"), { className: "note", textContent: what });
  note.setAttribute("role", "alert");
  form.prepend(note);
}

addEventListener("popstate", () => { if (isShown) { conceal("Loading anew…"); location.reload(); } });
