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
  for (const it of words) it.addEventListener("click", () => play(player, it.dataset.start / 1000));
  player.addEventListener("at", ({ detail: { ms } }) => {
    at.value = ms;
    for (const it of words) it.classList.toggle("now", ms > 0 && ms >= it.dataset.start && ms < it.dataset.end);
  });
}
