// The requests page, more at hand: a row opens beside the table, and new rows come in by themselves.
const MOST = 200;
const table = document.querySelector("#requests");
const drawer = document.querySelector("#drawer");

// Opening a row fetches the same page with its drawer; only the drawer is taken from it.
async function open(address, back) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return location.assign(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  drawer.replaceChildren(...page.querySelector("#drawer").childNodes);
  drawer.hidden = page.querySelector("#drawer").hidden;
  document.querySelector(".split").classList.toggle("with-drawer", !drawer.hidden);
  for (const row of document.querySelectorAll("#requests tr[aria-current]")) row.removeAttribute("aria-current");
  const id = new URL(address, location).searchParams.get("open");
  const row = id && document.getElementById(id);
  if (row) row.setAttribute("aria-current", "true");
  history.replaceState(null, "", address);
  if (!drawer.hidden) drawer.focus();
  else if (back) back.focus();
}

let opener = null;
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.opens, #drawer a.close");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (link.classList.contains("opens")) opener = link;
  open(link.href, opener).catch(() => location.assign(link.href));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !drawer.hidden) drawer.querySelector("a.close")?.click();
});

const live = document.querySelector(".live");
if (live && table) {
  const [button, status] = [live.querySelector("button"), live.querySelector("[role=status]")];
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const address = new URL(live.dataset.tail, location);
  let source = null, last = null, following = false, fresh = 0, held = [], said = 0;
  live.hidden = false;

  // The counter is told at most once a second: a screen reader has to be able to finish.
  const say = () => {
    said ||= setTimeout(() => {
      said = 0;
      status.textContent = following ? `${fresh} new` : held.length ? `paused, ${held.length >= MOST ? `${MOST} or more` : held.length} new` : "";
    }, 1000);
  };
  const cell = (head, text, id) => {
    const key = head.dataset.key;
    const made = document.createElement(key === "created" ? "th" : "td");
    made.className = head.className || "short";
    let inner = made;
    if (key === "created") {
      made.scope = "row";
      inner = made.appendChild(document.createElement("a"));
      inner.className = "opens";
      inner.href = live.dataset.open + encodeURIComponent(id);
    } else if (text === null || text === "unpriced" || text === "miss" || text === "bypass") {
      inner = made.appendChild(document.createElement("span"));
      inner.className = "none";
    } else if (key === "cache" || (key === "status" && text >= "400")) {
      inner = made.appendChild(document.createElement("span"));
      inner.className = key === "cache" ? "badge good" : "badge bad";
    }
    inner.textContent = text ?? "none";
    return made;
  };
  const show = ({ id, cells }) => {
    if (document.getElementById(id)) return;
    const row = document.createElement("tr");
    row.id = id;
    row.className = "fresh";
    cells.forEach((text, at) => row.append(cell(heads[at], text, id)));
    body.prepend(row);
    fresh += 1;
    while (body.rows.length > MOST) body.deleteRow(-1);
  };
  const connect = () => {
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.addEventListener("request", (event) => {
      last = event.lastEventId;
      if (following) show(JSON.parse(event.data));
      else held = [...held, JSON.parse(event.data)].slice(-MOST);
      say();
    });
    source.addEventListener("missed", () => { status.textContent = "too far behind: reload to see what was left out"; });
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;
      status.textContent = "not connected, trying again";
      setTimeout(() => source && connect(), 10000);
    };
  };
  button.addEventListener("click", () => {
    following = !following;
    button.setAttribute("aria-pressed", String(following));
    button.textContent = following ? "Pause" : "Go on";
    if (!source) connect();
    for (const one of held) show(one);
    held = [];
    say();
  });
  addEventListener("pagehide", () => source?.close());
}
