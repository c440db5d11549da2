// A plan was asked for by POST: going back to it, or loading it anew, leads to the timeline.
import "./page.js";

history.replaceState(null, "", "/");
addEventListener("forgotten", () => {
  if (!document.querySelector(".quotes [data-interaction]")) location.replace("/");
});
