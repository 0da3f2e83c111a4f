// Plays the pictures around a sighting, and lets one draw a box in them.

const screen = document.querySelector("[data-box-on]");
const form = document.querySelector("[data-boxform]");
const drawn = screen.querySelector(".drawn");
const setBox = (rect, [x0, y0, x1, y1]) => {
  for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) rect.setAttribute(name, value);
};

const player = document.querySelector("[data-player]");
if (player) {
  const image = player.querySelector("img"), where = player.querySelector(".where");
  const range = player.querySelector("input[type=range]"), output = player.querySelector("output");
  const button = player.querySelector("[data-play]");
  const frames = [...player.querySelectorAll(".data li")].map((li) => li.dataset);
  const address = (n) => `/sightings/${player.dataset.sighting}/frames/${n}`;
  const kept = new Map();
  const fetchFrame = (n) => {
    if (n >= frames.length) return null;
    if (!kept.has(n)) { const each = new Image(); each.src = address(n); kept.set(n, each); }
    return kept.get(n);
  };
  let now = Number(player.dataset.start), timer = 0;
  const show = (n) => {
    now = n;
    image.src = address(n);
    range.value = n;
    output.textContent = frames[n].clock;
    setBox(where, frames[n].box ? frames[n].box.split(" ").map(Number) : [0, 0, 0, 0]);
    setBox(drawn, [0, 0, 0, 0]);
    form.action = `/search/frame/${player.dataset.sighting}/${n}`;
    for (let ahead = 1; ahead < 6; ahead++) fetchFrame(n + ahead);
  };
  const stop = () => { clearInterval(timer); timer = 0; button.classList.remove("on"); };
  const play = () => {
    if (now === frames.length - 1) show(0);
    button.classList.add("on");
    timer = setInterval(() => {
      const next = fetchFrame(now + 1);
      if (!next) stop();
      else if (next.complete) show(now + 1); // one that is not there yet is waited for
    }, 100);
  };
  button.addEventListener("click", () => (timer ? stop() : play()));
  range.addEventListener("input", () => { stop(); show(Number(range.value)); });
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, button, a, summary") || !["ArrowLeft", "ArrowRight", " "].includes(event.key)) return;
    event.preventDefault();
    if (event.key === " ") { button.click(); return; }
    stop();
    show(Math.min(frames.length - 1, Math.max(0, now + (event.key === "ArrowRight" ? 1 : -1))));
  });
  show(now);
}

let corner = null;
const share = (event) => {
  const box = screen.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height].map((v) => Math.min(1, Math.max(0, v)));
};
screen.addEventListener("pointerdown", (event) => { corner = share(event); screen.setPointerCapture(event.pointerId); event.preventDefault(); });
screen.addEventListener("pointermove", (event) => {
  if (!corner) return;
  const [x, y] = share(event);
  const box = [Math.min(x, corner[0]), Math.min(y, corner[1]), Math.max(x, corner[0]), Math.max(y, corner[1])];
  setBox(drawn, box);
  ["x0", "y0", "x1", "y1"].forEach((name, i) => { form.elements[name].value = box[i].toFixed(4); });
});
screen.addEventListener("pointerup", () => { corner = null; });
