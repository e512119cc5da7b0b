"use strict";
// everything below the head comes packed: [texts, tree], JSON, gzip, base64; "~z" in the tree is a text's number, base 36
async function unpacked(element) {
  const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const [texts, tree] = await new Response(stream).json();
  const whole = (part) => {
    if (typeof part === "string") return part[0] === "~" ? texts[parseInt(part.slice(1), 36)] : part;
    if (Array.isArray(part)) return part.map(whole);
    if (part && typeof part === "object") return Object.fromEntries(Object.entries(part).map(([k, v]) => [k, whole(v)]));
    return part;
  };
  return whole(tree);
}

function start(DATA) {
document.querySelector("main").innerHTML = DATA.main;
const dialog = document.getElementById("account");
const inside = dialog.querySelector(".inside");
const title = dialog.querySelector("h2");
let opener = null;

const make = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (name) node.className = name;
  return node;
};
const add = (parent, ...nodes) => { nodes.forEach((node) => node && parent.append(node)); return parent; };
const list = (items, name) => {
  const ul = make("ul", null, name);
  items.forEach((item) => add(ul, typeof item === "string" ? make("li", item) : add(make("li"), item)));
  return ul;
};
const status = (word) => make("span", word, "chip s-" + word.replace("not checked", "unchecked"));

function runNode(run) {
  const box = make("details");
  add(box, add(make("summary"), make("span", run.run + " "), status(run.verdict === "valid" ? "traced" : "objection")));
  if (run.verdict === "never run") return box;
  add(box, list([
    ...run.about,
    `record ${run.record}`,
    `command ${run.command}`,
  ]));
  if (run.adopted) add(box, make("p", `Adopted by hand: ${run.adopted.reason}`, "finding s-notice"));
  run.reasons.forEach((reason) => add(box, make("p", reason, "finding s-objection")));
  add(box, make("h3", "Params"), make("pre", Object.entries(run.params)
    .map(([k, v]) => `${k}: ${JSON.stringify(v)}`).join("\n") || "none"));
  add(box, make("h3", "Inputs"), list(run.inputs.map((i) => `${i.path}: ${i.md5}, ${i.state}`), "hash"));
  add(box, make("h3", "Outputs"), list(run.outputs.map((o) =>
    `${o.path}: ${o.md5}, ${o.size} bytes; ${o.bytes}; ${o.lock}`), "hash"));
  return box;
}

function show(address) {
  const cell = DATA.cells[address];
  if (!cell) return;
  title.textContent = address;
  inside.replaceChildren();
  add(inside, add(make("p"), make("span", cell.displayed.replace(/^-(?=\.?\d)/, "−"), "big"), status(cell.status)));
  add(inside, make("p", cell.rule + (cell.recomputed ? `; recomputed from the raw files: ${cell.recomputed}` : "")));
  if (cell.interval) add(inside, make("p", cell.interval));
  const about = [cell.name, cell.n && `n = ${cell.n}`, cell.extractor, cell.unit].filter(Boolean).join(", ");
  if (about) add(inside, make("p", about, "soft"));
  if (cell.note) add(inside, make("p", cell.note, "soft"));
  add(inside, make("p", cell.paper_text));
  cell.findings.forEach((f) => add(inside, make("p", `${f.kind}: ${f.subject}: ${f.detail}`,
    "finding s-" + f.level.replace("not checked", "unchecked"))));
  if (cell.values.length) {
    add(inside, make("h3", "Raw values"));
    add(inside, list(cell.values.map((v) => `${v.number}  (seed ${v.seed || "–"}, sampling ${v.sampling_seed || "–"}` +
      `${v.role ? ", subtracted or divided by" : ""})  ${v.file}`), "mono"));
  }
  if (cell.run_names.length) {
    add(inside, make("h3", `Runs it rests on (${cell.run_names.length}), producers first`));
    cell.run_names.forEach((index) => add(inside, runNode(DATA.runs[index])));
  }
  if (cell.regenerate) {
    add(inside, make("h3", "Make this number again"),
      make("p", `${cell.regenerate.jobs} jobs, as recorded: ${cell.regenerate.cost}`),
      make("pre", `${DATA.again} ${cell.regenerate.makes.join(" ")}`));
  }
  add(inside, make("p", `make audit CELL="${address}"`, "mono soft"));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cell]");
  if (button) { opener = button; history.replaceState(null, "", "#cell=" + button.dataset.cell); show(button.dataset.cell); }
  if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
});
dialog.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  if (opener) opener.focus();
});
const fromHash = () => {
  const match = decodeURIComponent(location.hash).match(/^#cell=(.+)$/);
  if (match) show(match[1]);
};
window.addEventListener("hashchange", fromHash);
window.addEventListener("beforeprint", () => document.querySelectorAll("main details").forEach((d) => { d.open = true; }));
fromHash();

// finding numbers: what does not match is dimmed, tables without a match are away
const buttons = [...document.querySelectorAll("main [data-cell]")];
const search = document.getElementById("search");
const level = document.getElementById("level");
const levels = {
  "": () => true,
  measured: (cell) => cell.kind === "measured",
  paper: (cell) => cell.paper,
  doubt: (cell) => cell.findings.length > 0,
};
const textOf = (button) => {
  const cell = DATA.cells[button.dataset.cell], row = button.closest("tr");
  const label = row && row.cells[0] ? row.cells[0].textContent : "";
  return [button.dataset.cell, label, cell.displayed, cell.name, cell.status, cell.note].join(" ").toLowerCase();
};
const matches = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  return buttons.filter((button) => {
    const text = textOf(button);
    return levels[level.value](DATA.cells[button.dataset.cell]) && words.every((word) => text.includes(word));
  });
};
function filter() {
  const active = search.value.trim() !== "" || level.value !== "";
  const found = new Set(matches());
  buttons.forEach((button) => button.classList.toggle("dim", active && !found.has(button)));
  document.querySelectorAll("main [data-table], main figure, main .figures, main .list tbody tr").forEach((box) => {
    box.hidden = active && ![...box.querySelectorAll("[data-cell]")].some((button) => found.has(button));
  });
  document.querySelectorAll("#against details").forEach((box) => { box.open = active && found.size > 0; });
  const cells = new Set([...found].map((button) => button.dataset.cell));
  document.getElementById("found").textContent = active ? `${cells.size} numbers` : "";
}
search.addEventListener("input", filter);
level.addEventListener("change", filter);
document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());

// the numbers that are shown, as a file; made here, so that it works offline
const COLUMNS = ["address", "displayed", "unit", "kind", "status", "interval", "name", "n", "extractor", "paper", "values", "note"];
function shown() {
  const addresses = [...new Set(matches().map((button) => button.dataset.cell))];
  return addresses.map((address) => {
    const cell = DATA.cells[address];
    return { ...Object.fromEntries(COLUMNS.map((key) => [key, cell[key]])), values: cell.values.map((v) => v.number) };
  });
}
const quoted = (value) => `"${String(Array.isArray(value) ? value.join(" ") : value ?? "").replace(/"/g, '""')}"`;
const asText = {
  csv: () => [COLUMNS.join(","), ...shown().map((row) => COLUMNS.map((key) => quoted(row[key])).join(","))].join("\n") + "\n",
  json: () => JSON.stringify({ ...DATA.about, cells: shown() }, null, 1),
};
document.addEventListener("click", (event) => {
  const kind = event.target.dataset && event.target.dataset.download;
  if (!kind) return;
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([asText[kind]()], { type: kind === "csv" ? "text/csv" : "application/json" }));
  link.download = `numbers.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

// headings of lists sort them: numbers by size, the rest by letters
document.querySelectorAll(".list thead th").forEach((head) => {
  head.tabIndex = 0;
  head.setAttribute("aria-sort", "none");
  const sort = () => {
    const up = head.getAttribute("aria-sort") !== "ascending", index = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    head.parentNode.querySelectorAll("th").forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[index].textContent.trim();
    const order = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
    body.append(...[...body.rows].sort((a, b) => (up ? order(a, b) : order(b, a))));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
});

// a table that goes on to the right says so
const wide = document.querySelectorAll(".scroll, .strip");
const sign = () => wide.forEach((box) => {
  box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 4);
});
wide.forEach((box) => box.addEventListener("scroll", sign));
document.querySelectorAll("details").forEach((box) => box.addEventListener("toggle", sign));
window.addEventListener("resize", sign);
sign();
const part = location.hash && document.getElementById(location.hash.slice(1));
if (part) part.scrollIntoView();
document.dispatchEvent(new Event("ready"));
}

unpacked(document.getElementById("data")).then(start, () => {
  document.querySelector("main").textContent = "This browser is too old to open the page: it cannot unpack gzip.";
});
