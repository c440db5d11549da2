// Settings: the names of microphones, asked for when somebody is about to type one.
import { ask } from "./ask.js";
import "./page.js";

const names = document.getElementById("microphones");
let isAsked = false;
for (const it of document.querySelectorAll("[list=microphones]")) {
  it.addEventListener("focus", async () => {
    if (isAsked) return;
    isAsked = true;
    try {
      const found = await (await ask("/microphones", {})).json();
      names.replaceChildren(...found.map((name) => Object.assign(document.createElement("option"), { value: name })));
    } catch { /* a name can be typed all the same */ }
  });
}
