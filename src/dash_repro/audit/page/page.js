"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
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
  add(box, add(make("summary"), make("span", run.run + " "), status(run.verdict === "valid" ? "ok" : "objection")));
  if (run.verdict === "never run") return box;
  add(box, list([
    `${run.provenance}; code ${run.code}`,
    `${run.device} on ${run.host}; Python ${run.python}` +
      Object.entries(run.libraries || {}).map(([k, v]) => `, ${k} ${v}`).join(""),
    `${run.start} to ${run.end}: ${run.seconds.toFixed(1)} s, ${run.legs} leg(s), ${run.gpu ? "GPU" : "CPU"}` +
      (run.job_id ? `, job ${run.job_id}` : ""),
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
  add(inside, add(make("p"), make("span", cell.displayed, "big"), status(cell.status)));
  add(inside, make("p", cell.rule + (cell.recomputed ? `; recomputed from the raw files: ${cell.recomputed}` : "")));
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
      make("pre", cell.regenerate.command));
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
