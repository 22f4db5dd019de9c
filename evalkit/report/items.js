"use strict";
// The item table. Texts come from models: they reach the page through textContent alone, never as markup.
(() => {
  const PAGE = 25;
  const { contenders, items } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const controls = { search: at("search"), show: at("show"), ours: at("ours"), theirs: at("theirs"), label: at("label") };
  let page = 0;
  let found = items;

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const options = (select, entries) => {
    for (const [value, text] of entries) {
      const option = make("option", "", text);
      option.value = value;
      select.append(option);
    }
  };

  const mark = (value) => {
    if (value === null) return make("span", "mark none", "–");
    if (value === 1) return make("span", "mark yes", "✓");
    if (value === 0) return make("span", "mark no", "✗");
    return make("span", "mark", value.toFixed(2));
  };

  const part = (title, text) => {
    const box = make("div");
    box.append(make("h4", "", title), make("pre", "", text || "(empty)"));
    return box;
  };

  // The words that two answers share, in order: the longest common subsequence, for texts of a readable length.
  const parts = (text) => text.match(/[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]|\s+/gu) || [];
  const diff = (before, after) => {
    const a = parts(before), b = parts(after);
    if (a.length * b.length > 1e6) return null;
    const width = b.length + 1;
    const best = new Uint32Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i -= 1) {
      for (let j = b.length - 1; j >= 0; j -= 1) {
        best[i * width + j] = a[i] === b[j]
          ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
      }
    }
    const shown = make("pre");
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { shown.append(a[i]); i += 1; j += 1; }
      else if (j === b.length || (i < a.length && best[(i + 1) * width + j] >= best[i * width + j + 1])) { shown.append(make("del", "", a[i])); i += 1; }
      else { shown.append(make("ins", "", b[j])); j += 1; }
    }
    return shown;
  };

  const change = (item) => {
    const ours = item.answers[controls.ours.value], theirs = item.answers[controls.theirs.value];
    if (!ours || !theirs || ours === theirs || ours.text === theirs.text) return null;
    const shown = diff(theirs.text, ours.text);
    if (!shown) return null;
    const box = make("div");
    box.append(make("h4", "", `From ${theirs.contender} to ${ours.contender}`), shown);
    return box;
  };

  const fill = (inside, item) => {
    const answers = make("div", "answers");
    for (const answer of item.answers) {
      const box = make("div");
      const head = make("h4");
      head.append(mark(answer.value), " ", make("span", "who", answer.contender));
      box.append(head, make("pre", "", answer.text || "(empty)"));
      if (answer.notes.length) box.append(make("p", "notes", answer.notes.join("; ")));
      answers.append(box);
    }
    const changed = change(item);
    inside.append(part("Asked", item.prompt), part("Expected", item.expected), ...(changed ? [changed] : []), answers);
  };

  const row = (item) => {
    const details = make("details", "item");
    const line = make("div", "line");
    const marks = make("span");
    item.answers.forEach((answer, index) => {
      const sign = mark(answer.value);
      sign.title = contenders[index];
      sign.setAttribute("aria-label", contenders[index] + ": " + sign.textContent);
      sign.setAttribute("role", "img");
      marks.append(sign);
    });
    line.append(marks, make("span", "q", item.prompt.slice(0, 300)), make("span", "id", item.id));
    const summary = make("summary");
    summary.append(line);
    const inside = make("div", "inside");
    details.append(summary, inside);
    // An item's texts enter the page when someone opens it: thousands of items stay light.
    details.addEventListener("toggle", () => { if (details.open && !inside.firstChild) fill(inside, item); });
    return details;
  };

  const kept = (item) => {
    const values = item.answers.map((answer) => answer.value);
    const ours = values[controls.ours.value];
    const theirs = values[controls.theirs.value];
    const both = ours !== null && theirs !== null;
    switch (controls.show.value) {
      case "fixed": return both && ours > theirs;
      case "broke": return both && ours < theirs;
      case "right": return values.every((value) => value === 1);
      case "wrong": return values.every((value) => value !== 1);
      case "unscored": return values.includes(null);
      default: return true;
    }
  };

  const draw = () => {
    const start = page * PAGE;
    at("list").replaceChildren(...found.slice(start, start + PAGE).map(row));
    at("where").textContent = found.length
      ? `${start + 1} to ${Math.min(start + PAGE, found.length)} of ${found.length} items`
      : "no item fits";
    at("back").disabled = page === 0;
    at("next").disabled = start + PAGE >= found.length;
  };

  // What a search looks at, made once per item and only when someone searches.
  const texts = new Map();
  const textOf = (item) => {
    let text = texts.get(item);
    if (text === undefined) {
      text = [item.id, item.prompt, item.expected, ...item.answers.map((answer) => answer.text)].join("\n").toLowerCase();
      texts.set(item, text);
    }
    return text;
  };

  const filter = () => {
    const words = controls.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const label = controls.label.value;
    found = items.filter((item) => {
      if ((label && item.label !== label) || !kept(item)) return false;
      if (!words.length) return true;
      return words.every((word) => textOf(item).includes(word));
    });
    page = 0;
    draw();
  };

  const numbered = contenders.map((name, index) => [index, name]);
  options(controls.ours, numbered);
  options(controls.theirs, numbered);
  controls.ours.value = contenders.length - 1;
  controls.theirs.value = Math.max(contenders.length - 2, 0);
  const labels = [...new Set(items.map((item) => item.label).filter(Boolean))].sort();
  options(controls.label, [["", "any"], ...labels.map((label) => [label, label])]);
  if (!labels.length) controls.label.parentElement.hidden = true;
  // A search waits until the typing pauses: 20,000 items take a moment.
  let pause = 0;
  for (const control of Object.values(controls)) {
    control.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(filter, control === controls.search ? 150 : 0); });
  }
  at("back").addEventListener("click", () => { page -= 1; draw(); });
  at("next").addEventListener("click", () => { page += 1; draw(); });
  at("table").hidden = false;
  draw();
})();
