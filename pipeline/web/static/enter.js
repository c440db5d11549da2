// Coming in by a link: what stands behind the # leaves the address at once, and is sent once.
const told = document.getElementById("told");
const ticket = location.hash.slice(1);
history.replaceState(null, "", "/enter");

async function enter() {
  const answer = await fetch("/enter", { method: "POST", body: new URLSearchParams({ ticket }), cache: "no-store" });
  if (answer.ok) location.replace("/");
  else told.textContent = "This link has been used already, or is too old. The terminal in which “anechoic serve” runs shows the next one.";
}

if (ticket) enter().catch(() => { told.textContent = "There is no answer. Is “anechoic serve” still running?"; });
else told.textContent = "Open the link that “anechoic serve” shows in its terminal.";
