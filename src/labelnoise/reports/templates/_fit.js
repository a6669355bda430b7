"use strict";
// Whatever comes from the data enters the page as text nodes, never as HTML.
{
  const { digest, classes, cards } = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 60; // cards: two to six columns end evenly
  const STORE = "labelnoise:" + digest;
  const DONE = { accept: "accepted", keep: "kept", relabel: "relabelled" };
  const decisions = new Map(); // position in cards -> { decision, label }, the label a class number
  let listed = []; // positions in cards that the filters let through, in order
  let first = 0; // of the page, in listed
  let nodes = []; // of the page

  const get = (id) => document.getElementById(id);
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const name = (label) => make("bdi", {}, classes[label]);
  const count = (number) => number.toLocaleString("en");
  const percent = (p) => (p > 0.99 ? "> 99" : (100 * p).toFixed(0)) + "\u00a0%"; // nothing here is certain
  const searched = cards.map((card) =>
    [card.id, card.text, card.index, classes[card.given], classes[card.suggested]].join("\n").toLowerCase());

  // Decisions

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE) || "{}");
      cards.forEach((card, position) => {
        const [decision, label] = kept[card.index] || [];
        if (Object.hasOwn(DONE, decision) && classes[label] !== undefined) decisions.set(position, { decision, label });
      });
    } catch {
      get("unsaved").hidden = false;
    }
  }

  function save() {
    try {
      const kept = {};
      for (const [position, { decision, label }] of decisions) kept[cards[position].index] = [decision, label];
      localStorage.setItem(STORE, JSON.stringify(kept));
      get("unsaved").hidden = true;
    } catch {
      get("unsaved").hidden = false;
    }
  }

  function decide(position, decision, label) {
    if (decision === "undo") decisions.delete(position);
    else decisions.set(position, { decision, label });
    save();
    showCount();
    showCard(position);
  }

  function csv() {
    const cell = (text) => {
      const escaped = /^[=+\-@\t\r\n']/.test(text) ? "'" + text : text; // a spreadsheet would run it as a formula
      return /[",\r\n]/.test(escaped) ? '"' + escaped.replaceAll('"', '""') + '"' : escaped;
    };
    const rows = [...decisions].map(([position, { decision, label }]) => {
      const { index, given, id } = cards[position];
      return [index, decision, ...[classes[label], classes[given], id].map(cell)];
    });
    rows.sort((one, other) => one[0] - other[0]);
    return [["index", "decision", "label", "given_label", "id"], ...rows].map((row) => row.join(",") + "\n").join("");
  }

  function download() {
    const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    make("a", { href: address, download: "decisions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  // Cards

  function newCard(position) {
    const card = cards[position];
    const node = make("li", { className: "card", tabIndex: 0 });
    node.dataset.position = position;
    if (card.image) node.append(make("img", { src: card.image, alt: "" }));
    if (card.text) node.append(make("p", { className: "text", dir: "auto" }, card.text));
    const p = make("span", { className: card.flagged ? "p wrong" : "p" }, percent(card.p_wrong));
    const labels = make("div", { className: "labels" }, make("div", {}, name(card.given), p));
    if (card.suggested !== card.given) labels.append(make("div", {}, make("b", {}, "→ ", name(card.suggested))));
    const actions = make("div", { className: "actions" });
    for (const action of card.suggested === card.given ? ["keep", "relabel"] : ["accept", "keep", "relabel"]) {
      const button = make("button", { type: "button" }, action);
      button.dataset.do = action;
      actions.append(button);
    }
    node.append(labels, make("bdi", { className: "id" }, card.id), actions, make("div", { className: "outcome" }));
    return node;
  }

  function showCard(position) {
    const node = nodes.find((other) => Number(other.dataset.position) === position);
    const made = decisions.get(position);
    node.classList.toggle("decided", Boolean(made));
    for (const button of node.querySelectorAll(".actions button"))
      button.setAttribute("aria-pressed", String(made?.decision === button.dataset.do));
    const outcome = node.querySelector(".outcome");
    const undo = make("button", { type: "button" }, "undo");
    undo.dataset.do = "undo";
    if (!made) outcome.replaceChildren();
    else if (made.decision !== "relabel") outcome.replaceChildren(make("span", {}, DONE[made.decision] + ": ", name(made.label)), undo);
    else if (!outcome.querySelector("select")) outcome.replaceChildren(newSelect(position), undo);
    else if (!outcome.querySelector("button")) outcome.append(undo); // the select stays, as it has the focus
  }

  function newSelect(position) {
    const select = make("select", { ariaLabel: "the right label" }, make("option", { value: "", disabled: true }, "choose the label"));
    classes.forEach((text, label) => select.append(make("option", { value: label }, text)));
    const made = decisions.get(position);
    select.value = made?.decision === "relabel" ? made.label : "";
    select.addEventListener("change", () => decide(position, "relabel", Number(select.value)));
    return select;
  }

  function askLabel(node, position) {
    const outcome = node.querySelector(".outcome");
    if (!outcome.querySelector("select")) outcome.replaceChildren(newSelect(position));
    outcome.querySelector("select").focus();
  }

  function act(node, action) {
    const position = Number(node.dataset.position);
    const card = cards[position];
    if (action === "relabel") askLabel(node, position);
    else decide(position, action, action === "accept" ? card.suggested : card.given);
  }

  // The list

  function list() {
    const given = get("given").value, suggested = get("suggested").value;
    const flagged = get("flagged").checked, undecided = get("undecided").checked;
    const words = get("search").value.toLowerCase();
    const order = get("order").value;
    listed = [...cards.keys()].filter((position) => {
      const card = cards[position];
      return (given === "" || card.given === Number(given)) && (suggested === "" || card.suggested === Number(suggested)) &&
        (!flagged || card.flagged) && (!undecided || !decisions.has(position)) && searched[position].includes(words);
    });
    if (order !== "p_wrong") listed.sort((one, other) => cards[one][order] - cards[other][order]); // cards come by p_wrong
    showPage(0);
  }

  function showPage(start) {
    first = start;
    const page = listed.slice(first, first + PAGE);
    nodes = page.map(newCard);
    get("cards").replaceChildren(...nodes);
    page.forEach(showCard);
    get("none").hidden = listed.length > 0;
    get("range").textContent = listed.length ? `${count(first + 1)} to ${count(first + page.length)} of ${count(listed.length)}` : "";
    get("previous").disabled = first === 0;
    get("next").disabled = first + PAGE >= listed.length;
  }

  function turn(pages) {
    showPage(first + pages * PAGE);
    get("cards").scrollIntoView();
    nodes[pages > 0 ? 0 : nodes.length - 1].focus();
  }

  function move(node, steps) {
    const target = nodes.indexOf(node) + steps;
    if (nodes[target]) nodes[target].focus();
    else if (target >= nodes.length && !get("next").disabled) turn(1);
    else if (target < 0 && !get("previous").disabled) turn(-1);
  }

  function showCount() {
    const made = [...decisions.values()].map((each) => each.decision);
    const parts = Object.entries(DONE).map(([decision, done]) => [made.filter((each) => each === decision).length, done]);
    const told = parts.filter(([number]) => number).map(([number, done]) => `${count(number)} ${done}`).join(", ");
    get("counter").textContent = `${count(made.length)} of ${count(cards.length)} decided` + (told && ": " + told);
    get("download").disabled = made.length === 0;
  }

  function pressed(event) {
    const node = event.target.closest(".card");
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === "SELECT") {
      if (event.key === "Escape") node.focus();
      return;
    }
    const columns = getComputedStyle(get("cards")).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const action = { a: "accept", k: "keep", r: "relabel", u: "undo" }[event.key.toLowerCase()];
    if (steps) move(node, steps);
    else if (action === "undo" || (action && node.querySelector(`[data-do=${action}]`))) {
      act(node, action);
      if (action === "accept" || action === "keep") move(node, 1);
    } else return;
    event.preventDefault();
  }

  for (const filter of ["given", "suggested"])
    for (const label of new Set(cards.map((card) => card[filter]).sort((one, other) => one - other)))
      get(filter).append(make("option", { value: label }, classes[label]));
  for (const filter of ["given", "suggested", "order", "flagged", "undecided", "search"]) {
    get(filter).addEventListener("input", list);
  }
  get("cards").classList.toggle("texts", !cards[0]?.image);
  get("cards").addEventListener("keydown", pressed);
  get("cards").addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    const node = button.closest(".card");
    const again = button.getAttribute("aria-pressed") === "true" && button.dataset.do !== "relabel";
    act(node, again ? "undo" : button.dataset.do);
    if (!node.contains(document.activeElement)) node.focus(); // the undo button has gone
  });
  get("previous").addEventListener("click", () => turn(-1));
  get("next").addEventListener("click", () => turn(1));
  get("download").addEventListener("click", download);
  load();
  showCount();
  list();
  get("review").hidden = false;
}
