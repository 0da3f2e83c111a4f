// Keys, areas on the map, pictures that are dropped. Everything works without it, too, but for these.

const isTyping = (target) => target.closest("input, select, textarea, [contenteditable]") !== null;

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "/") {
    document.querySelector("#q, #quick")?.focus();
    event.preventDefault();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  } else if (event.key === "a" || event.key === "r") {
    document.activeElement?.closest(".pair, .duel")?.querySelector(`[data-key="${event.key}"]`)?.click();
  } else if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  }
});

function step(by) {
  const items = [...document.querySelectorAll("[data-list] [data-item]")];
  if (!items.length) return;
  const now = items.findIndex((item) => item.contains(document.activeElement));
  const next = items[now < 0 ? 0 : Math.min(items.length - 1, Math.max(0, now + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  const term = event.target.closest("[data-term]");
  if (term) {
    const field = document.querySelector("#q");
    const value = term.dataset.term;
    field.value = field.value.includes(value) ? field.value.replace(value, "").trim() : `${field.value} ${value}`.trim();
    field.focus();
  }
});

// A form that decides is sent once.
addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "1";
  event.target.querySelector("button:not([type=button])")?.classList.add("busy");
});
addEventListener("pageshow", () => { for (const form of document.forms) { delete form.dataset.sent; form.querySelector(".busy")?.classList.remove("busy"); } });

// An area: press in its middle, pull to its edge.
for (const figure of document.querySelectorAll("[data-area]")) {
  const svg = figure.querySelector("svg"), circle = figure.querySelector(".area"), field = document.querySelector("#near");
  const { scale, x, y, z } = Object.fromEntries(Object.entries(figure.dataset).map(([k, v]) => [k, Number(v)]));
  const draw = (cx, cy, r) => { circle.setAttribute("cx", cx); circle.setAttribute("cy", cy); circle.setAttribute("r", r); };
  const given = (field?.value ?? "").split(",").map(Number);
  if (given.length === 4 && given.every(Number.isFinite)) draw(x + given[0] * scale, y - given[1] * scale, given[3] * scale);
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let middle = null;
  svg.addEventListener("dragstart", (event) => event.preventDefault()); // of a link, which a path is
  svg.addEventListener("pointerdown", (event) => { middle = at(event); svg.setPointerCapture(event.pointerId); event.preventDefault(); });
  svg.addEventListener("pointermove", (event) => {
    if (!middle) return;
    const edge = at(event), radius = Math.max(4, Math.hypot(edge.x - middle.x, edge.y - middle.y));
    draw(middle.x, middle.y, radius);
    field.value = [(middle.x - x) / scale, (y - middle.y) / scale, z, radius / scale].map((v) => v.toFixed(3)).join(",");
  });
  svg.addEventListener("pointerup", (event) => {
    const edge = at(event);
    if (middle && Math.hypot(edge.x - middle.x, edge.y - middle.y) > 4) svg.addEventListener("click", (e) => e.preventDefault(), { once: true, capture: true });
    middle = null;
  });
}

// A picture: chosen, dropped, or pasted.
const drop = document.querySelector("[data-drop]");
if (drop) {
  const input = drop.querySelector("input[type=file]");
  const take = (files) => { if (files.length) { input.files = files; drop.requestSubmit(); } };
  for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
  input.addEventListener("change", () => { if (input.files.length) drop.requestSubmit(); });
}
