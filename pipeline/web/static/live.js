// What is heard at this moment: shown while it is spoken, gone with its end, kept nowhere.
import { ask } from "./ask.js";

const NOTE_MS = 5000;
const STATES = {
  opening: "Opening", listening: "Listening", speech: "Hearing you", waiting: "Waiting for the wake word",
  muted: "Muted", away: "No microphone",
};
const mic = document.getElementById("mic");
const box = document.getElementById("live");
const words = document.getElementById("live-words");
const note = document.getElementById("live-note");
let number = null;
let fading;

export function show(now) {
  if (!mic) return;
  const state = STATES[now.state] ? now.state : "opening";
  for (const it of [mic, box]) if (it) { it.dataset.state = state; it.dataset.level = now.level; }
  const said = STATES[state] + (now.is_ephemeral && state !== "muted" ? ", storing nothing" : "");
  if (mic.lastElementChild.textContent !== said) mic.lastElementChild.textContent = said;
  mic.disabled = state === "opening";
  mic.title = state === "muted" ? "Open the microphone again" : "Mute: the microphone is closed";
  if (box) { box.hidden = false; if (words.textContent !== now.words) words.textContent = now.words; }
  if (number !== null && now.number !== number) ended(now);
  number = now.number;
}

// Nobody can say any more whether it may be shown, or it has just been forgotten.
export function hush() {
  if (words) words.textContent = "";
  if (note) note.textContent = "";
}

export function away() {
  hush();
  number = null;
  if (mic) { mic.disabled = true; mic.dataset.state = "opening"; mic.lastElementChild.textContent = "Microphone"; }
  if (box) box.hidden = true;
}

function ended(now) {
  if (now.sealed) dispatchEvent(new CustomEvent("sealed"));
  if (!note) return;
  note.textContent = now.note.slice(0, 1).toUpperCase() + now.note.slice(1);
  clearTimeout(fading);
  fading = setTimeout(() => { note.textContent = ""; }, NOTE_MS);
}

mic?.addEventListener("click", () => {
  ask("/microphone", { wish: mic.dataset.state === "muted" ? "listen" : "mute" }).catch(() => {
    mic.lastElementChild.textContent = "That did not work";
  });
});
