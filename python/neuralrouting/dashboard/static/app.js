// Everything here is a convenience: pages read and forms work without it.

// A path of ours that is to be sent to somebody needs our address before it.
for (const link of document.querySelectorAll("a.absolute")) {
  link.textContent = link.href;
  link.closest("main").querySelector("button.copy").dataset.copy = link.href;
}

for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

// A choice in the bar shows at once; without a script the button does it.
const bar = document.querySelector("form.bar");
if (bar) {
  for (const choice of bar.querySelectorAll("select")) {
    choice.addEventListener("change", () => bar.requestSubmit());
  }
}

// `/` goes to the first filter; 1 to 6 choose a period, where nobody is typing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (event.key === "/" && bar) {
    event.preventDefault();
    (document.querySelector("input[type=search]") ?? bar.querySelector("input:not([type=hidden])")).focus();
  }
  const period = bar && bar.elements.period;
  const at = Number(event.key) - 1;
  if (period && at >= 0 && at < period.options.length && period.options[at].value) {
    period.selectedIndex = at;
    bar.requestSubmit();
  }
});

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}
