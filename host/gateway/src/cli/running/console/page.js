// The script of the page of `whelk console`. It asks for the state once a second and shows it. Every text is set by
// `textContent`, and never read as HTML.
"use strict";

// How often the state is asked for, ms.
const INTERVAL = 1000;
// How long an answer may take, ms.
const TIMEOUT = 15000;
const END_TIMEOUT = 40000;

// Of each table its caption, what is said if it is empty, and the command that shows all of it.
const CAPTIONS = {
  sessions: ["Sessions", "No sessions.", "whelk sessions"],
  logins: ["Connections and logins", "No connections.", "whelk sessions --connections"],
  tenants: ["Tenants: in use, and limits", "No tenants.", "whelk tenants"],
  plugins: ["Plugins and loaded programs", "No plugins.", "whelk plugin list"],
  refused: ["Refused plugins", "", "whelk plugin list"],
};
// Columns whose cells may have several lines.
const LONG = ["COMMAND", "REASON"];
// The column of buttons.
const END = "END";

const of = (id) => document.getElementById(id);
let key = sessionStorage.getItem("key") ?? "";
let ending = null;

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

function set(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function say(id, text) {
  const place = of(id);
  set(place, text);
  place.hidden = text === "";
}

// Sends a request. The header is what no form and no page of another origin can send.
function ask(method, path, options = {}) {
  const headers = { "x-whelk-console": options.secret ?? key };
  if (options.body !== undefined) headers["content-type"] = "application/json";
  return fetch(path, {
    method,
    headers,
    body: options.body,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
    signal: AbortSignal.timeout(options.timeout ?? TIMEOUT),
  });
}

async function logIn() {
  const token = location.hash.slice(1);
  if (token === "") return true;
  // Out of the address, and out of the history.
  history.replaceState(null, "", location.pathname);
  const answer = await ask("POST", "login", { secret: token });
  if (!answer.ok) {
    if (key !== "") return true;
    say("notice", await answer.text());
    return false;
  }
  ({ key } = await answer.json());
  sessionStorage.setItem("key", key);
  return true;
}

// Makes the children of a list those of the texts.
function showTexts(list, name, texts) {
  while (list.children.length > texts.length) list.lastElementChild.remove();
  texts.forEach((text, at) => set(list.children[at] ?? element(name, "", list), text));
}

function showStatus(rows) {
  const list = of("status");
  rows.forEach(([name, value], at) => {
    let group = list.children[at];
    if (!group) {
      group = element("div", undefined, list);
      element("dt", "", group);
      element("dd", "", group);
    }
    set(group.children[0], name);
    set(group.children[1], value);
  });
}

function makeTable(section, name, columns) {
  const scroll = element("div", undefined, section);
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", CAPTIONS[name][0]);
  const table = element("table", undefined, scroll);
  element("caption", CAPTIONS[name][0], table);
  const head = element("tr", undefined, element("thead", undefined, table));
  for (const column of columns) {
    const cell = element("th", column, head);
    cell.scope = "col";
    if (column === END) cell.className = "end";
  }
  element("tbody", undefined, table);
  element("p", "", section).className = "none";
}

function makeRow(columns) {
  const row = document.createElement("tr");
  for (const column of columns) {
    const cell = element("td", "", row);
    if (LONG.includes(column)) cell.className = "long";
    if (column === END) cell.className = "end";
  }
  return row;
}

// Rows keep their elements, so that focus and selection stay where they are.
function showTable(name, { columns, rows, more }) {
  const section = of(name);
  const [, none, command] = CAPTIONS[name];
  const canEnd = name === "sessions" || name === "logins";
  if (rows.length === 0 && none === "") {
    section.replaceChildren();
    return;
  }
  const all = canEnd ? [...columns, END] : columns;
  if (!section.firstElementChild) makeTable(section, name, all);
  const body = section.querySelector("tbody");
  const before = new Map([...body.children].map((row) => [row.dataset.id, row]));
  const shown = new Map();
  for (const { id, cells, end } of rows) {
    let unique = id;
    while (shown.has(unique)) unique += "\n";
    const row = before.get(unique) ?? makeRow(all);
    row.dataset.id = unique;
    cells.forEach((text, at) => set(row.children[at], text));
    if (canEnd) showButton(row.lastElementChild, name, cells, end);
    shown.set(unique, row);
  }
  for (const [id, row] of before) if (!shown.has(id)) row.remove();
  let at = body.firstElementChild;
  for (const row of shown.values()) {
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
  }
  const rest = more > 0 ? `${more} more are not shown: see ${command}, or --rows.` : "";
  set(section.lastElementChild, rows.length === 0 ? none : rest);
}

function showButton(cell, name, cells, end) {
  const what = name === "sessions" ? "session" : "connection";
  if (end === undefined) {
    cell.replaceChildren();
    return;
  }
  const button = cell.firstElementChild ?? element("button", "End", cell);
  button.type = "button";
  button.setAttribute("aria-label", `End ${what} ${cells[0]} of ${cells[1]}`);
  button.onclick = () => confirmEnd(what, end, cells);
}

function confirmEnd(what, id, cells) {
  ending = { id, name: cells[0] };
  set(of("ending-title"), `End ${what} ${cells[0]}?`);
  set(of("ending-who"), `User ${cells[1]} of tenant ${cells[2]}.`);
  of("reason").value = "";
  of("ending").showModal();
  of("reason").focus();
}

async function endConfirmed() {
  const asked = ending;
  of("ending").close();
  if (asked === null) return;
  const { id, name } = asked;
  ending = null;
  say("outcome", `${name}: is being ended.`);
  try {
    const body = JSON.stringify({ id, reason: of("reason").value });
    const answer = await ask("POST", "end", { body, timeout: END_TIMEOUT });
    say("outcome", `${name}: ${await answer.text()}`);
  } catch {
    say("outcome", `${name}: the console has not answered. The table shows whether it has ended.`);
  }
}

function show(state) {
  showStatus(state.status);
  showTexts(of("near"), "li", state.near);
  for (const [name, table] of Object.entries(state.tables)) showTable(name, table);
  showTexts(of("notes"), "li", state.notes);
  of("main").hidden = false;
}

// Shows the state as it is now. False: there is nothing more to ask for.
async function update() {
  let problem = "";
  try {
    const answer = await ask("GET", "state");
    if (answer.ok) {
      show(await answer.json());
      set(of("state"), `As of ${new Date().toLocaleTimeString()}`);
    } else {
      problem = await answer.text();
      if (answer.status === 401) sessionStorage.removeItem("key");
      if (answer.status === 401 || answer.status === 403) {
        say("notice", problem);
        of("main").hidden = true;
        set(of("state"), "Not logged in.");
        return false;
      }
    }
  } catch {
    problem = "The console does not answer: it may have ended, with its server or by itself. What is shown is old.";
  }
  say("notice", problem);
  of("main").classList.toggle("old", problem !== "");
  return true;
}

async function run() {
  of("ending-cancel").addEventListener("click", () => of("ending").close());
  of("ending-confirm").addEventListener("click", endConfirmed);
  of("reason").addEventListener("keydown", (event) => {
    if (event.key === "Enter") endConfirmed();
  });
  // A new address that is opened in the same tab changes only what follows the #.
  addEventListener("hashchange", () => location.reload());
  try {
    if (!(await logIn())) return;
  } catch {
    say("notice", "The console does not answer.");
    return;
  }
  while (await update()) {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    if (document.hidden) {
      await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    }
  }
}

run();
