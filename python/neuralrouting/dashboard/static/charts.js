// Charts read without a script; with it, arrow keys walk over their points and a line of words follows.

for (const plot of document.querySelectorAll("figure.plot")) {
  const walk = plot.querySelector(".walk");
  const points = walk ? [...walk.querySelectorAll(".hit")] : [];
  if (!points.length) continue;
  const words = plot.querySelector(".point");
  const first = words.textContent;
  const told = points.map((point) => point.querySelector("title").textContent);
  let at = -1;

  const show = (to) => {
    if (at >= 0) points[at].classList.remove("on");
    at = to;
    if (at >= 0) points[at].classList.add("on");
    words.textContent = at < 0 ? first : told[at];
    walk.setAttribute("aria-valuenow", Math.max(at, 0) + 1);
    walk.setAttribute("aria-valuetext", told[Math.max(at, 0)]);
  };

  walk.tabIndex = 0;
  // A slider over the points: the role under which screen readers pass arrow keys on and say each new value.
  walk.setAttribute("role", "slider");
  walk.setAttribute("aria-label", `${plot.querySelector("h2").textContent}, point by point`);
  walk.setAttribute("aria-describedby", walk.querySelector("desc").id);
  walk.setAttribute("aria-valuemin", 1);
  walk.setAttribute("aria-valuemax", points.length);
  show(-1);

  const keys = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 7, PageUp: -7, Home: -Infinity, End: Infinity };
  walk.addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    const from = at < 0 && keys[event.key] > 0 ? -1 : at;
    show(Math.min(points.length - 1, Math.max(0, from + keys[event.key])));
  });
  walk.addEventListener("focus", () => { if (at < 0) show(points.length - 1); });
  walk.addEventListener("blur", () => show(-1));
  points.forEach((point, place) => point.addEventListener("pointerenter", () => show(place)));
  walk.addEventListener("pointerleave", () => { if (document.activeElement !== walk) show(-1); });
}
