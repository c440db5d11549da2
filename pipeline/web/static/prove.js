// Proving: reads the first bytes of each file of a copy here, and asks only about those.
import { ask } from "./ask.js";
import { tell } from "./page.js";

const HEADER = 160;
const MAGIC = "anechoic-seal/1\n";
const BLOCK = 512;
const BATCH = 200;
const MOST_TILES = 4000;
const MOST_LINES = 500;
const drop = document.getElementById("drop");
const $ = (id) => document.getElementById(id);
const text = new TextDecoder("latin1");
let run = 0;

async function headerOf(file, at = 0) {
  const bytes = new Uint8Array(await file.slice(at, at + HEADER).arrayBuffer());
  return bytes.length === HEADER && text.decode(bytes.slice(0, MAGIC.length)) === MAGIC ? bytes : null;
}

// The names and places of the files in a tar file: a block of 512 bytes before each (POSIX ustar, GNU, pax).
async function* inTar(file) {
  let long = "";
  for (let at = 0; at + BLOCK <= file.size;) {
    const block = new Uint8Array(await file.slice(at, at + BLOCK).arrayBuffer());
    if (block.every((it) => it === 0)) return;
    if (text.decode(block.slice(257, 262)) !== "ustar") throw new Error();
    const size = numberIn(block.slice(124, 136));
    const type = String.fromCharCode(block[156]);
    const name = long || [textIn(block.slice(345, 500)), textIn(block.slice(0, 100))].filter(Boolean).join("/");
    const content = at + BLOCK;
    long = "";
    if (type === "L") long = textIn(new Uint8Array(await file.slice(content, content + size).arrayBuffer()));
    else if (type === "x") long = paxPath(new TextDecoder().decode(await file.slice(content, content + size).arrayBuffer()));
    else if (type === "0" || type === "\0") yield { name, at: content, size };
    at = content + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function textIn(bytes) { return text.decode(bytes).split("\0")[0]; }
function numberIn(bytes) {
  if (bytes[0] & 0x80) return bytes.slice(1).reduce((sum, it) => sum * 256 + it, 0);
  return parseInt(textIn(bytes).trim() || "0", 8);
}
function paxPath(records) { return /^\d+ path=(.*)$/m.exec(records)?.[1] || ""; }

async function* sealedIn(files) {
  for (const { name, file } of files) {
    const first = text.decode(await file.slice(257, 262).arrayBuffer());
    if (first === "ustar") {
      for await (const it of inTar(file)) {
        const header = it.size >= HEADER && await headerOf(file, it.at);
        if (header) yield { name: it.name, header };
      }
    } else {
      const header = await headerOf(file);
      if (header) yield { name, header };
    }
  }
}

async function prove(files) {
  const mine = ++run;
  const counts = { live: 0, erased: 0, unknown: 0 };
  const plans = new Map();
  $("tiles").replaceChildren();
  $("files").tBodies[0].replaceChildren();
  $("result").hidden = false;
  $("told").textContent = "Reading…";
  let batch = [];
  const flush = async () => {
    const fields = new URLSearchParams();
    for (const it of batch) fields.append("header", btoa(String.fromCharCode(...it.header)));
    const tiles = batch.map(() => tile());
    const judged = await (await ask("/judge", fields)).json();
    if (mine !== run) return;
    judged.forEach((it, n) => {
      counts[it.state] += 1;
      if (it.plan) plans.set(it.plan, (plans.get(it.plan) || 0) + 1);
      if (tiles[n]) requestAnimationFrame(() => tiles[n].classList.add(it.state));
      line(batch[n].name, it);
    });
    batch = [];
    show(counts, plans);
  };
  try {
    for await (const it of sealedIn(files)) {
      batch.push(it);
      if (batch.length === BATCH) await flush();
      if (mine !== run) return;
    }
    if (batch.length) await flush();
    show(counts, plans);
    $("told").textContent = verdict(counts);
  } catch (error) {
    $("told").textContent = error.problem || "This copy could not be read to its end.";
  }
}

function verdict({ live, erased, unknown }) {
  const all = live + erased + unknown;
  if (!all) return "There is no sealed file in this.";
  const files = (n) => `${n} ${n === 1 ? "file" : "files"}`;
  const dark = erased ? `${files(erased)} of ${all} ${erased === 1 ? "is" : "are"} dark for ever: nobody can open ${erased === 1 ? "it" : "them"} any more, from this copy or any other.` : `All ${files(live)} can still be opened: nothing of this copy has been forgotten.`;
  return unknown ? `${dark} ${files(unknown)} ${unknown === 1 ? "is" : "are"} not of this vault.` : dark;
}

function tile() {
  if ($("tiles").childElementCount >= MOST_TILES) return null;
  return $("tiles").appendChild(document.createElement("i"));
}

function line(name, it) {
  const body = $("files").tBodies[0];
  if (body.rows.length >= MOST_LINES) return;
  const row = body.insertRow();
  const state = { live: "can be opened", erased: it.plan ? "erased" : "erased, replaced by something newer", unknown: "not of this vault" }[it.state];
  for (const words of [name, it.kind, state]) row.insertCell().textContent = words;
}

function show(counts, plans) {
  const names = { live: "can be opened", erased: "dark for ever", unknown: "not of this vault" };
  $("counts").replaceChildren(...Object.entries(names).map(([state, name]) => {
    const box = document.createElement("div");
    const number = document.createElement("strong");
    number.textContent = counts[state].toLocaleString("en");
    const what = document.createElement("span");
    what.textContent = name;
    box.append(number, what);
    return box;
  }));
  $("why").hidden = !plans.size;
  $("proofs").replaceChildren(...[...plans].slice(0, 100).map(([plan, number]) => {
    const it = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/receipts/${plan}`;
    link.textContent = `Receipt ${plan.slice(0, 8)}`;
    it.append(link, ` darkened ${number} of these files`);
    return it;
  }));
}

async function* below(entry, path = "") {
  const name = path ? `${path}/${entry.name}` : entry.name;
  if (entry.isFile) {
    yield { name, file: await new Promise((done, fail) => entry.file(done, fail)) };
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const it of some) yield* below(it, name);
  }
}

async function dropped(items) {
  const found = [];
  for (const it of items) for await (const file of below(it)) found.push(file);
  return found;
}

for (const id of ["folder", "tar"]) {
  $(id).addEventListener("change", (event) => {
    prove([...event.target.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
    event.target.value = "";
  });
}
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((it) => it.webkitGetAsEntry()).filter(Boolean);
  dropped(entries).then(prove, () => tell("That could not be read."));
});
