// The scene of all cameras, drawn in perspective on a canvas: no library, and no WebGL that a machine may lack.

const stage = document.querySelector("[data-live]");
const canvas = stage.querySelector("canvas"), context = canvas.getContext("2d");
const status = stage.querySelector(".status"), nothing = stage.querySelector(".empty");
const roll = document.querySelector("[data-roll]"), chooser = document.querySelector("[data-map]");
const TRAIL = 120, ASK_MS = 400;
// Until someone turns or zooms, the view follows what is there to be seen.
const view = { turn: 0.7, tilt: 0.6, distance: 3, middle: [0, 0, 0], shows: "", isHeld: false };
const trails = new Map();
let scene = { cameras: [] }, map = "", colors = {};

const color = (name) => {
  // What light-dark() has come to: only a real property is computed.
  canvas.style.color = `var(${name})`;
  return getComputedStyle(canvas).color;
};
const readColors = () => { for (const name of ["accent", "quiet", "line", "strong", "text", "page"]) colors[name] = color(`--${name}`); };

const at = (pose, p) => [0, 1, 2].map((i) => pose[i][0] * p[0] + pose[i][1] * p[1] + pose[i][2] * p[2] + pose[i][3]);

function project(p) {
  const [x, y, z] = p.map((v, i) => v - view.middle[i]);
  const c = Math.cos(view.turn), s = Math.sin(view.turn), ct = Math.cos(view.tilt), st = Math.sin(view.tilt);
  const side = c * x + s * y, ahead = -s * x + c * y;
  const up = ct * z + st * ahead * 1, depth = view.distance + ct * ahead - st * z;
  if (depth < 0.02) return null;
  const focal = 1.1 * Math.min(canvas.width, canvas.height * 1.3);
  return [canvas.width / 2 + (focal * side) / depth, canvas.height / 2 - (focal * up) / depth, depth];
}

function line(points, stroke, width, isClosed = false) {
  context.beginPath();
  let isDown = false;
  for (const p of points) {
    const q = project(p);
    if (!q) { isDown = false; continue; }
    if (isDown) context.lineTo(q[0], q[1]); else context.moveTo(q[0], q[1]);
    isDown = true;
  }
  if (isClosed) context.closePath();
  context.strokeStyle = stroke;
  context.lineWidth = width * devicePixelRatio;
  context.stroke();
}

function label(p, text, fill) {
  const q = project(p);
  if (!q) return;
  context.font = `${12 * devicePixelRatio}px ui-sans-serif, system-ui, sans-serif`;
  context.lineWidth = 3 * devicePixelRatio;
  context.strokeStyle = colors.page;
  context.strokeText(text, q[0] + 8 * devicePixelRatio, q[1] - 6 * devicePixelRatio);
  context.fillStyle = fill;
  context.fillText(text, q[0] + 8 * devicePixelRatio, q[1] - 6 * devicePixelRatio);
}

function drawFloor() {
  const size = Math.max(0.5, 10 ** Math.floor(Math.log10(view.distance * 1.2))), step = size / (view.distance / size > 3 ? 2 : 5);
  const [mx, my] = view.middle.map((v) => Math.round(v / step) * step), n = 12;
  for (let i = -n; i <= n; i++) {
    line([[mx + i * step, my - n * step, 0], [mx + i * step, my + n * step, 0]], colors.line, 1);
    line([[mx - n * step, my + i * step, 0], [mx + n * step, my + i * step, 0]], colors.line, 1);
  }
}

function drawCamera(camera) {
  const d = 0.12 * Math.max(0.6, view.distance / 3), w = 0.6 * d, h = 0.45 * d;
  const tip = at(camera.pose, [0, 0, 0]);
  const corners = [[-w, -h, d], [w, -h, d], [w, h, d], [-w, h, d]].map((p) => at(camera.pose, p));
  const stroke = camera.is_live ? colors.text : colors.strong;
  for (const corner of corners) line([tip, corner], stroke, 1.3);
  line(corners, stroke, 1.3, true);
  label(tip, camera.camera, camera.is_live ? colors.text : colors.quiet);
}

const EDGES = [[0, 1], [1, 3], [3, 2], [2, 0], [4, 5], [5, 7], [7, 6], [6, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
const FACES = [[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]];

function drawObject({ object }) {
  const half = (object.size ?? [0.05, 0.05, 0.05]).map((v) => v / 2);
  const corners = [...Array(8).keys()].map((i) => at(object.pose, [i & 4 ? half[0] : -half[0], i & 2 ? half[1] : -half[1], i & 1 ? half[2] : -half[2]]));
  const seen = corners.map(project);
  if (seen.some((q) => !q)) return;
  context.fillStyle = colors.accent;
  context.globalAlpha = 0.1;
  for (const face of FACES) {
    context.beginPath();
    face.forEach((n, i) => (i ? context.lineTo(seen[n][0], seen[n][1]) : context.moveTo(seen[n][0], seen[n][1])));
    context.fill();
  }
  context.globalAlpha = 1;
  for (const [a, b] of EDGES) line([corners[a], corners[b]], colors.accent, 1.5);
}

function nameObject({ object }) {
  const reach = Math.max(...(object.size ?? [0.05])) / 2, [x, y, z] = at(object.pose, [0, 0, 0]);
  label([x, y, z + reach], object.class.replaceAll("_", " "), colors.text);
}

function draw() {
  const box = stage.getBoundingClientRect();
  canvas.width = Math.round(box.width * devicePixelRatio);
  canvas.height = Math.round(box.height * devicePixelRatio);
  context.lineJoin = "round";
  const cameras = scene.cameras.filter((c) => c.map === map && c.pose);
  drawFloor();
  for (const trail of trails.values()) {
    if (trail.map !== map) continue;
    context.globalAlpha = 0.55;
    line(trail.points, colors.accent, 2);
    context.globalAlpha = 1;
  }
  const objects = cameras.flatMap((camera) => camera.objects.filter((o) => o.pose).map((object) => ({ camera, object })));
  const depth = ({ object }) => project(at(object.pose, [0, 0, 0]))?.[2] ?? 0;
  for (const each of objects.sort((a, b) => depth(b) - depth(a))) drawObject(each);
  for (const each of objects) nameObject(each);
  for (const camera of cameras) drawCamera(camera);
  stage.dataset.inView = objects.filter(({ object }) => {
    const q = project(at(object.pose, [0, 0, 0]));
    return q && q[0] > 0 && q[0] < canvas.width && q[1] > 0 && q[1] < canvas.height;
  }).length;
}

function showAll() {
  const cameras = scene.cameras.filter((c) => c.map === map && c.pose);
  const points = cameras.flatMap((c) => [at(c.pose, [0, 0, 0]), ...c.objects.filter((o) => o.pose).map((o) => at(o.pose, [0, 0, 0]))]);
  if (!points.length) return;
  const low = [0, 1, 2].map((i) => Math.min(...points.map((p) => p[i]))), high = [0, 1, 2].map((i) => Math.max(...points.map((p) => p[i])));
  view.middle = low.map((v, i) => (v + high[i]) / 2);
  view.distance = Math.max(0.5, 1.15 * Math.hypot(...low.map((v, i) => high[i] - v)));
}

function remember() {
  const now = new Set();
  for (const camera of scene.cameras) for (const object of camera.objects) {
    if (!object.pose) continue;
    const key = `${camera.camera}\n${object.track}\n${object.class}`;
    now.add(key);
    const trail = trails.get(key) ?? { map: camera.map, points: [], missing: 0 };
    trail.points.push(at(object.pose, [0, 0, 0]));
    if (trail.points.length > TRAIL) trail.points.shift();
    trail.missing = 0;
    trails.set(key, trail);
  }
  for (const [key, trail] of trails) if (!now.has(key) && ++trail.missing > 20) trails.delete(key);
}

const lasting = (s) => (s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`);

function list() {
  const maps = [...new Set(scene.cameras.map((c) => c.map).filter((name) => name !== null))];
  if (maps.join("\n") !== [...chooser.options].map((o) => o.value).join("\n")) {
    chooser.replaceChildren(...maps.map((name) => new Option(name, name)));
    // First the map in which something is live.
    map = maps.includes(map) ? map : scene.cameras.find((c) => c.is_live && c.map !== null)?.map ?? maps[0] ?? "";
    chooser.value = map;
  }
  const made = (name, text, kind = "") => Object.assign(document.createElement(name), { textContent: text, className: kind });
  roll.replaceChildren(...scene.cameras.flatMap((camera) => {
    const title = made("h2", camera.camera);
    const silent = camera.silent_seconds === null ? "not live" : `silent ${lasting(camera.silent_seconds)}`;
    title.append(made("span", camera.is_live ? `${camera.rate_hz.toFixed(1)} Hz` : silent, `state ${camera.is_live ? "live" : "silent"}`));
    const items = document.createElement("ul");
    for (const object of camera.objects) {
      const item = document.createElement("li");
      const place = object.pose ? object.pose.slice(0, 3).map((row) => (Math.round(row[3] * 100) / 100 + 0).toFixed(2)).join(", ") : "no place";
      item.append(made("span", `${object.class.replaceAll("_", " ")} · track ${object.track}`), made("span", place));
      items.append(item);
    }
    return camera.objects.length ? [title, items] : [title];
  }));
}

async function ask() {
  try {
    const answer = await fetch("/api/live", { headers: { Accept: "application/json" } });
    if (answer.status === 401) { location.assign(`/login?next=${encodeURIComponent("/live")}`); return; }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    scene = content;
    const live = scene.cameras.filter((c) => c.is_live).length;
    const count = scene.cameras.reduce((sum, c) => sum + c.objects.length, 0);
    status.textContent = `${live} of ${scene.cameras.length} cameras live, ${count} objects`;
    nothing.hidden = scene.cameras.some((c) => c.pose || c.is_live);
    remember();
    list();
    const shows = scene.cameras.map((c) => `${c.camera} ${c.map} ${!!c.pose} ${c.objects.filter((o) => o.pose).length}`).join("\n");
    if (!view.isHeld && shows !== view.shows) { view.shows = shows; showAll(); }
    draw();
    stage.dataset.objects = count;
  } catch (error) {
    status.textContent = `No answer from the server: ${error.message}`;
  }
  setTimeout(ask, document.hidden ? 3000 : ASK_MS);
}

const turn = (dx, dy) => { view.isHeld = true; view.turn += dx; view.tilt = Math.min(1.55, Math.max(-0.2, view.tilt + dy)); draw(); };
const zoom = (by) => { view.isHeld = true; view.distance = Math.min(200, Math.max(0.1, view.distance * by)); draw(); };
const fingers = new Map();
canvas.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); canvas.setPointerCapture(event.pointerId); });
canvas.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const span = (e) => Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY);
    zoom(span(before) / Math.max(1, span(event)));
  } else turn((before.clientX - event.clientX) * -0.006, (event.clientY - before.clientY) * 0.006);
  fingers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(event.deltaY * 0.001)); }, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const does = { ArrowLeft: () => turn(-0.08, 0), ArrowRight: () => turn(0.08, 0), ArrowUp: () => turn(0, 0.06), ArrowDown: () => turn(0, -0.06), "+": () => zoom(0.9), "=": () => zoom(0.9), "-": () => zoom(1.1), 0: () => { view.isHeld = false; showAll(); draw(); } }[event.key];
  if (does) { event.preventDefault(); does(); }
});
chooser.addEventListener("change", () => { map = chooser.value; showAll(); draw(); });
addEventListener("themechange", () => { readColors(); draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); draw(); });
addEventListener("resize", draw);
readColors();
ask();
