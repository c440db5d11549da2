// A plan was asked for by POST: going back to it, or loading it anew, leads to the timeline.
import "./page.js";

let isDecided = false;
history.replaceState(null, "", "/");
document.querySelector("form.stack").addEventListener("submit", () => { isDecided = true; });
addEventListener("forgotten", () => {
  if (!isDecided && !document.querySelector(".quotes [data-interaction]")) location.replace("/");
});
