// Streams an answer into the page, and explains without leaving it. Without this file the form does both.

const form = document.querySelector("#ask");
const box = document.querySelector("#answer");
const stop = document.querySelector("#stop");
const at = (id) => document.querySelector(`#${id}`);
const fact = (name, value) => { box.querySelector(`[data-fact=${name}]`).textContent = value || "–"; };
let asked = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(event.submitter?.value === "run");
});
stop.addEventListener("click", () => asked?.abort());
at("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(form.querySelector("[value=run]"));
});

async function ask(run) {
  asked?.abort();
  const mine = asked = new AbortController();
  busy(true);
  clear();
  try {
    if (await explain(mine.signal, run) && run) await stream(mine.signal);
  } catch (error) {
    if (error.name === "AbortError") say("Stopped. What had come is paid for.");
    else fail({ message: "The gateway cannot be reached." });
  }
  if (asked === mine) busy(false);
}

// The page that the form would lead to: its layers and commands are taken over, and what was wrong.
async function explain(signal, run) {
  const page = await post("/playground", "explain", signal);
  if (page.redirected) return location.assign("/login");
  const told = new DOMParser().parseFromString(await page.text(), "text/html");
  const found = told.querySelector("#explained");
  if (!found) return fail({ message: told.querySelector(".failed")?.textContent ?? "That did not work." });
  at("explained").replaceWith(document.importNode(found, true));
  for (const button of document.querySelectorAll("#explained button.copy")) button.hidden = false;
  const wrong = told.querySelector("#problem");
  if (!wrong.hidden) return fail({ message: wrong.textContent });
  if (!run) say("Explained below. No model was asked.");
  return true;
}

async function stream(signal) {
  const began = performance.now();
  say("Waiting for the first token …");
  const response = await post("/playground/run", "run", signal);
  if (!response.ok) return fail((await response.json()).error);
  const header = (name) => response.headers.get(`x-nr-${name}`);
  at("facts").hidden = at("text").hidden = false;
  fact("model", `${header("model")} at ${header("provider")}`);
  fact("cache", header("cache"));
  fact("noted", ["cascade", "shield", "budget"].map(header).filter(Boolean).join("; "));
  if (header("simulated")) badge("simulated");
  const id = header("request-id");
  at("request").textContent = id;
  at("request").href = `/requests/${encodeURIComponent(id)}`;
  let first = 0;
  for await (const event of events(response.body)) {
    if (event.error) return fail(event.error);
    const text = event.choices?.[0]?.delta?.content;
    if (text && !first) {
      first = performance.now() - began;
      fact("ttft", `${first.toFixed(0)} ms, as seen here`);
      say("");
    }
    if (text) at("text").append(text);
    if (event.usage) end(event);
  }
}

function end({ usage, business_metrics: money }) {
  fact("tokens", `${usage.prompt_tokens} in, ${usage.completion_tokens} out`);
  fact("cost", usd(money.cost_usd));
  const both = money.cost_usd !== null && money.estimated_gpt4_cost !== null;
  fact("saved", both ? usd(money.estimated_gpt4_cost - money.cost_usd) : "unpriced");
  say("Done.");
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: /, "");
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

function post(path, action, signal) {
  const body = new URLSearchParams(new FormData(form));
  body.set("do", action);
  return fetch(path, { method: "POST", body, signal });
}

function usd(amount) {
  if (amount === null) return "unpriced";
  return `$${amount.toFixed(9).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

function badge(text) {
  const mark = document.createElement("span");
  mark.className = "badge sim";
  mark.textContent = text;
  at("badges").replaceChildren(mark);
}

function busy(on) {
  stop.hidden = !on;
  box.setAttribute("aria-busy", on);
}

function say(text) { at("status").textContent = text; }

function clear() {
  at("problem").hidden = at("text").hidden = at("facts").hidden = true;
  at("text").textContent = "";
  at("badges").replaceChildren();
  for (const one of box.querySelectorAll("[data-fact]")) one.textContent = "–";
  say("");
}

function fail({ message, rules, code }) {
  at("problem").textContent = [message, rules && `Rules: ${rules.join(", ")}.`, code && `(${code})`].filter(Boolean).join(" ");
  at("problem").hidden = false;
  say("");
  return false;
}
