// The script of the desk. Everything works without it, by forms and links. It adds keys, the dialog that shows what will be sent,
// and replaces parts of the page instead of the whole page.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const announce = (text) => { one("#announce").textContent = text; };
const rows = () => all(".request");
const current = () => document.activeElement?.closest?.(".request") ?? null;
const boxOf = (row) => one("input[type=checkbox]", row);
const selected = () => rows().filter((row) => boxOf(row).checked);

// ---- Replacing parts of the page

// The parts that the server makes anew. The fields in which a person may be writing are not among them.
const PARTS = ["#status", "#form", "#list"];

function replaceParts(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const checked = new Set(selected().map((row) => row.id));
  const open = new Set(all("details[open]").map(pathOf));
  const row = current();
  const focused = document.activeElement?.dataset?.verdict;
  for (const part of PARTS) {
    const old = one(part), made = one(part, page);
    if (old && made) old.replaceWith(document.adoptNode(made));
  }
  document.title = page.title;
  for (const each of rows()) boxOf(each).checked = checked.has(each.id);
  for (const details of all("details")) details.open = open.has(pathOf(details));
  // If the request is gone, no other one gets the focus, because the next key may be on its way already.
  const next = row && document.getElementById(row.id);
  if (row && !next && rows().length > 0) announce(`The request of ${row.dataset.name} is not in this list any more. Press j for the first one.`);
  if (next) (focused ? one(`[data-verdict=${focused}]`, next) : next).focus({ preventScroll: true });
  keepInSight(next);
  showSelected();
  wait();
}

// The decisions to be sent stay at the top of the window, and must not cover the person whom the next key is about.
function keepInSight(row) {
  const above = one("#status").offsetHeight;
  document.body.style.setProperty("--above", `${above}px`);
  // Of a row that is higher than the window, the top is shown, which has the name.
  const isHigh = row && row.offsetHeight > window.innerHeight - above - 100;
  row?.scrollIntoView({ block: isHigh ? "start" : "nearest" });
}

const pathOf = (details) => {
  const row = details.closest(".request");
  return row ? `${row.id} ${all("details", row).indexOf(details)}` : "sent";
};

// What a person does is sent one after the other, because each response brings the mark that the next form needs.
let last = Promise.resolve(), waiting = 0;

function inTurn(job) {
  waiting += 1;
  last = last.then(job).finally(() => { waiting -= 1; });
  return last;
}

const post = (url, data) => {
  data.set("form", one("#form input").value);
  return load(url, { method: "POST", body: data });
};

async function load(url, options) {
  try {
    const response = await fetch(url, { credentials: "same-origin", ...options });
    const html = await response.text();
    // A page that was asked for before a decision may not know of it.
    if (!options && waiting > 0) return true;
    if (!html.includes('id="status"')) throw new Error(`the desk answered ${response.status}`);
    replaceParts(html);
    return response.ok;
  } catch (error) {
    showProblem(`The desk did not respond as expected: ${error.message}. Look at the terminal of "doorman desk": it names each decision that was sent. Then reload this page.`);
    return false;
  }
}

function showProblem(text) {
  const problem = document.createElement("p");
  problem.className = "problem";
  problem.setAttribute("role", "alert");
  problem.textContent = text;
  one("#status").prepend(problem);
}

// ---- Waiting for what the desk does

let timer;

// Counts down the time to undo, and looks again when something has changed.
function wait() {
  clearTimeout(timer);
  const shown = performance.now();
  const isBusy = one("#status").hasAttribute("data-busy");
  const spans = all("[data-due]");
  if (!isBusy && spans.length === 0) return;
  const due = spans.map((span) => Number(span.dataset.due));
  const until = Math.min(isBusy ? 700 : Infinity, ...due.map((ms) => ms + 300));
  const tick = () => {
    const gone = performance.now() - shown;
    spans.forEach((span, i) => { span.textContent = `Sends in ${Math.max(0, Math.ceil((due[i] - gone) / 1000))} s`; });
    if (gone < until) timer = setTimeout(tick, Math.min(250, until - gone + 10));
    else if (one("dialog[open]")) timer = setTimeout(tick, 500);
    else load(location.href);
  };
  tick();
}

// ---- Sending forms

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (form.method !== "post" && submitter?.getAttribute("formmethod") !== "post") return;
  event.preventDefault();
  const verdict = submitter?.dataset.verdict ?? (submitter?.name === "verdict" ? submitter.value : undefined);
  if (form.classList.contains("decide")) {
    if (!verdict) return;
    const row = submitter.closest(".request");
    decide(verdict, row ? [row] : selected(), submitter);
    return;
  }
  const data = new URLSearchParams(new FormData(form, submitter));
  const url = submitter?.getAttribute("formaction") ? submitter.formAction : form.action;
  inTurn(() => post(url, data));
});

// The rows of people whose decision has not reached the desk. No further key decides about them.
const onTheirWay = new Set();

async function send(verdict, people, reason) {
  const data = new URLSearchParams({ verdict, reason });
  const ids = people.map((row) => row.id);
  for (const id of ids) { data.append("request", id.slice(2)); onTheirWay.add(id); }
  const names = people.length === 1 ? people[0].dataset.name : `${people.length} people`;
  for (const row of people) boxOf(row).checked = false;
  // The next person gets the focus, so that the next key is about them.
  const last = people.at(-1);
  const next = rows().slice(rows().indexOf(last)).find((row) => !people.includes(row)) ?? rows().findLast((row) => !people.includes(row));
  if (next) next.focus();
  const { action } = one("form.decide");
  const isTaken = await inTurn(() => post(action, data));
  for (const id of ids) onTheirWay.delete(id);
  if (isTaken) announce(`${verdict}: ${names}. Press u to undo.`);
}

// ---- Deciding

const EFFECTS = {
  accept: "They get access.",
  reset: "They have no access, and may ask again. The Hub shows them the reason.",
  reject: "They have no access, and the Hub ignores their further requests. It shows them the reason.",
};
const TITLES = { accept: "Accept", reset: "Reset", reject: "Reject" };

function decide(verdict, people, submitter) {
  if (people.length === 0) {
    announce("Nobody is selected.");
    showProblem("Nobody is selected, so nothing was changed.");
    return;
  }
  if (people.every((row) => onTheirWay.has(row.id))) return;
  // A key does what the button of the row does, under the same name.
  submitter ??= one(`[data-verdict=${verdict}]`, people[0]);
  // To accept one person takes no words, and can be undone. Everything else is shown before it is sent.
  if (verdict === "accept" && people.length === 1) {
    send(verdict, people, "");
    return;
  }
  const dialog = one("#decide"), reason = one("#decide-reason");
  const names = people.map((row) => `${row.dataset.name} (${row.dataset.repo})`);
  const some = names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
  one("#decide-title").textContent = people.length === 1 ? `${TITLES[verdict]} ${people[0].dataset.name}` : `${TITLES[verdict]} ${people.length} people`;
  one("#decide-effect").textContent = EFFECTS[verdict];
  one("#decide-send").textContent = submitter?.firstChild?.textContent.replace(/ selected$/, "") || TITLES[verdict];
  reason.value = verdict === "accept" ? "" : one("#reason").value;
  const fields = [reason, one("#decide-reasons"), one(".count", dialog), one("label", dialog)];
  for (const field of fields) field.hidden = verdict === "accept";
  const preview = () => {
    const text = reason.value.trim();
    one("#decide-count").textContent = String(reason.value.length);
    one("#decide-preview").textContent = verdict === "accept" ? `${some}: access, without a reason.`
      : text ? `${some}: is shown “${text}”` : `${some}: is shown no reason.`;
  };
  one("#decide-reasons").replaceChildren(...all("#reasons option").map((option) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = option.value;
    button.addEventListener("click", () => { reason.value = option.value; preview(); reason.focus(); });
    return button;
  }));
  reason.oninput = preview;
  reason.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    dialog.close("send");
  };
  preview();
  const row = current() ?? people[0];
  dialog.returnValue = "";
  dialog.onclose = () => {
    row.focus({ preventScroll: true });
    if (dialog.returnValue === "send") send(verdict, people, verdict === "accept" ? "" : reason.value);
  };
  dialog.showModal();
  (verdict === "accept" ? one("#decide-send") : reason).focus();
}

// ---- Keys

function move(by) {
  const list = rows();
  if (list.length === 0) return;
  const row = current();
  const place = row ? list.indexOf(row) + by : by > 0 ? 0 : list.length - 1;
  const next = list[Math.max(0, Math.min(list.length - 1, place))];
  next.focus({ preventScroll: true });
  keepInSight(next);
}

function toggle() {
  const row = current();
  if (!row) return;
  boxOf(row).checked = !boxOf(row).checked;
  showSelected();
}

function act(verdict) {
  const row = current();
  const people = (selected().length > 0 ? selected() : row ? [row] : []);
  // The second tab does not offer every decision.
  if (people.length > 0 && !one(`[data-verdict=${verdict}]`, people[0])) return showProblem(`${TITLES[verdict]}: this is not possible here.`);
  decide(verdict, people);
}

async function undo() {
  const button = one(".choices button[name=undo]");
  if (!button) return;
  const { row } = button.closest("li").dataset;
  await post(button.form.action, new URLSearchParams({ undo: button.value }));
  // The next key is about the person whose decision was undone.
  const undone = document.getElementById(row);
  undone?.focus({ preventScroll: true });
  keepInSight(undone);
}

function showSelected() {
  // Without a selection, the buttons of a person and the keys do everything. The dialog asks for the reason.
  const count = selected().length, bar = one(".bar");
  if (!bar) return;
  bar.hidden = count === 0;
  one(".reason", bar).hidden = true;
  one("#selected").hidden = false;
  one("#selected").textContent = `${count} selected`;
}

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => act("accept"),
  r: () => act("reject"),
  s: () => act("reset"),
  x: toggle,
  // The decision before this key may still be on its way to the desk.
  u: () => inTurn(undo),
  "/": () => one("#q").focus(),
  "?": () => one("#help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || one("dialog[open]")) return;
  const field = event.target.closest?.("input, textarea, select");
  if (field && field.type !== "checkbox") {
    if (event.key === "Escape") field.blur();
    return;
  }
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  // A key that is held down moves on, and decides nobody.
  if (!event.repeat || event.key === "j" || event.key === "k") action();
});

document.addEventListener("change", (event) => {
  if (event.target.name === "request") showSelected();
  if (event.target.closest(".filters") && event.target.tagName === "SELECT") event.target.form.requestSubmit();
});

one("#help-button").hidden = false;
one("#help-button").addEventListener("click", () => one("#help").showModal());
showSelected();
wait();
