// Asking the server: always by POST with the token of this page, never with anything in an address.
const csrf = document.querySelector("meta[name=csrf]").content;

export async function ask(path, fields) {
  const answer = await fetch(path, {
    method: "POST",
    body: fields instanceof URLSearchParams ? fields : new URLSearchParams(fields),
    headers: { "x-anechoic-csrf": csrf, "x-anechoic-part": "1" },
    cache: "no-store",
    credentials: "same-origin",
  });
  if (answer.status === 401) throw Object.assign(new Error(), { isOut: true });
  if (!answer.ok) throw Object.assign(new Error(), { problem: await problemOf(answer) });
  return answer;
}

async function problemOf(answer) {
  try { return (await answer.json()).problem; } catch { return "That did not work. Load the page anew."; }
}
