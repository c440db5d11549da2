// One interaction: playing from a word, and showing which one is heard.
import "./page.js";
import { attach, play } from "./sound.js";

const player = document.querySelector(".player");
const words = [...document.querySelectorAll(".word")];
if (player) {
  const at = document.getElementById("at");
  player.dataset.seconds = at.max / 1000;
  attach(document);
  at.addEventListener("input", () => play(player, at.value / 1000));
  words.forEach((it, n) => {
    it.addEventListener("click", () => play(player, it.dataset.start / 1000));
    it.tabIndex = n ? -1 : 0; // one stop for all of them; arrows go from word to word
    it.addEventListener("keydown", (event) => go(event, { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: words.length - 1 }[event.key]));
  });
  player.addEventListener("at", ({ detail: { ms } }) => {
    at.value = ms;
    for (const it of words) it.classList.toggle("now", ms > 0 && ms >= it.dataset.start && ms < it.dataset.end);
  });
}

function go(event, n) {
  if (n === undefined) return;
  event.preventDefault();
  if (!words[n]) return;
  for (const it of words) it.tabIndex = -1;
  words[n].tabIndex = 0;
  words[n].focus();
}
