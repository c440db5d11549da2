// Playing and drawing sound. One element plays at a time; nothing is fetched before it is asked for.
import { ask } from "./ask.js";

const SVG = "http://www.w3.org/2000/svg";
let playing = null;

export function silence(id) {
  if (!playing || (id && playing.id !== id)) return;
  const { audio, button } = playing;
  playing = null;
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  button?.setAttribute("aria-pressed", "false");
}

export function play(box, from = null) {
  const id = box.dataset.sound;
  if (playing?.id !== id) {
    silence();
    const audio = new Audio();
    audio.preload = "auto";
    playing = { id, audio, button: box.querySelector(".play"), box };
    audio.addEventListener("timeupdate", () => show(box, audio));
    audio.addEventListener("ended", () => { show(box, audio, 0); stopped(box); });
    audio.addEventListener("pause", () => stopped(box));
    audio.addEventListener("play", () => box.querySelector(".play").setAttribute("aria-pressed", "true"));
    audio.addEventListener("error", () => { if (audio.getAttribute("src")) box.dispatchEvent(new CustomEvent("unheard", { bubbles: true })); });
    audio.src = `/sound/${id}`;
  }
  const { audio } = playing;
  if (from === null && !audio.paused) { audio.pause(); return; }
  if (from !== null) seek(audio, from);
  audio.play().catch(() => {});
}

function seek(audio, seconds) {
  if (audio.readyState) audio.currentTime = seconds;
  else audio.addEventListener("loadedmetadata", () => { audio.currentTime = seconds; }, { once: true });
}

function stopped(box) { box.querySelector(".play")?.setAttribute("aria-pressed", "false"); }

function show(box, audio, at = audio.currentTime) {
  const part = audio.duration ? at / audio.duration : 0;
  box.querySelector(".heard")?.setAttribute("d", path(box.peaks || [], part));
  box.dispatchEvent(new CustomEvent("at", { bubbles: true, detail: { ms: at * 1000 } }));
}

function path(peaks, part = 1) {
  return peaks.slice(0, Math.round(peaks.length * part)).map((it, n) => {
    const half = Math.max(0.6, it * 0.19);
    return `M${2 * n + 1} ${(20 - half).toFixed(1)}V${(20 + half).toFixed(1)}`;
  }).join("");
}

function draw(box, peaks) {
  box.peaks = peaks;
  const wave = box.querySelector(".wave");
  const all = document.createElementNS(SVG, "path");
  all.setAttribute("d", path(peaks));
  const heard = document.createElementNS(SVG, "path");
  heard.setAttribute("class", "heard");
  wave.replaceChildren(all, heard);
}

// Outlines are drawn when they come into view, some at a time.
const wanted = new Set();
let waiting;
const view = new IntersectionObserver((entries) => {
  for (const it of entries.filter((each) => each.isIntersecting)) {
    view.unobserve(it.target);
    wanted.add(it.target);
  }
  if (wanted.size) waiting ||= setTimeout(fetchOutlines, 60);
}, { rootMargin: "200px" });

async function fetchOutlines() {
  waiting = undefined;
  const boxes = [...wanted].slice(0, 10);
  boxes.forEach((it) => wanted.delete(it));
  try {
    const answer = await ask("/outlines", { ids: boxes.map((it) => it.dataset.sound).join(" ") });
    const found = await answer.json();
    for (const it of boxes) if (it.isConnected && found[it.dataset.sound]) draw(it, found[it.dataset.sound]);
  } catch { /* without an outline it still plays */ }
  if (wanted.size) waiting ||= setTimeout(fetchOutlines, 20);
}

export function attach(root) {
  for (const box of root.querySelectorAll("[data-sound]")) {
    box.querySelector(".play").addEventListener("click", () => play(box));
    box.querySelector(".wave").addEventListener("click", (event) => {
      const place = event.currentTarget.getBoundingClientRect();
      const seconds = parseFloat(box.dataset.seconds || box.querySelector(".length")?.textContent) || 0;
      play(box, seconds * (event.clientX - place.left) / place.width);
    });
    view.observe(box);
  }
}
