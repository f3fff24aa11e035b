// The desk in a real browser, as its owner and as an attacker use it.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, beforeEach, afterEach, test } from "node:test";

import { AxeBuilder, Hub, REBOUND, startBrowser, startDesk, stopAll, until } from "./support.mjs";

let browser, hub, desk, context, page;
const faults = [];

before(async () => {
  [browser, hub] = await Promise.all([startBrowser(), Hub.start()]);
  desk = await startDesk(hub);
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = watched(await context.newPage());
  await page.goto(desk.address);
});

after(async () => {
  await browser?.close();
  await stopAll();
});

beforeEach(async () => {
  hub.mode = "pass";
  await page.goto(desk.home);
});

afterEach(() => assert.deepEqual(faults.splice(0), []));

/** Notes each error of a page: of the script, of the Content-Security-Policy, or a dialog that a requester has opened. */
function watched(page) {
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("console", (message) => { if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) faults.push(message.text()); });
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(desk.home)) faults.push(`loads ${request.url()}`); });
  return page;
}

const rows = (page_ = page) => page_.locator(".request");
const nameOf = (row) => row.getAttribute("data-name");
const repoOf = (row) => row.getAttribute("data-repo");
const focused = (page_ = page) => page_.evaluate(() => document.activeElement.id);
const status = (page_ = page) => page_.locator("#status").innerText();

/** Opens the waiting people of one repo, and returns the first row with its name. */
async function firstOf(repo) {
  await page.goto(`${desk.home}?repo=${encodeURIComponent(repo)}`);
  const row = rows().first();
  return { row, name: await nameOf(row) };
}

const MODEL = "acme/gated-model", CORPUS = "datasets/acme/gated-corpus", VISION = "acme/vision-model";
const isOn = (repo, list, name) => async () => (await hub.users(repo, list)).includes(name);

async function axe(page_, what) {
  const { violations } = await new AxeBuilder({ page: page_ }).analyze();
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => `${what}: ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`), []);
}

test("300 varied people are shown as text, and nothing is loaded from elsewhere", async () => {
  await page.goto(`${desk.home}?show=all`);
  const first = await page.locator("body").innerText();
  assert.match(first, /<script>alert\(1\)<\/script>/);
  assert.match(first, /محمد|王伟|Rocket 🚀/);
  assert.equal(await page.locator("main script, main img, main iframe").count(), 0);
  assert.equal(await rows().count(), 100);
  await page.getByRole("link", { name: "Next →" }).click();
  await page.waitForURL(/page=1/);
  assert.match(first + await page.locator("body").innerText(), /\((3,9|4,0)\d\d characters\)/);
  assert.ok(await rows().count() > 20);
  const html = await page.content();
  for (const secret of [hub.settings.HF_TOKEN, "hf_"]) assert.ok(!html.includes(secret));
  const cookies = await context.cookies();
  assert.deepEqual(cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite]), [[true, "Strict"]]);
  assert.equal(await page.evaluate(() => document.cookie), "");
});

test("search and filters show whom they name, and the age sorts", async () => {
  await page.getByLabel("Search", { exact: true }).fill("epfl");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.waitForURL(/q=epfl/);
  const found = await rows().count();
  assert.ok(found > 0 && found < 100);
  for (const row of await rows().allInnerTexts()) assert.match(row, /epfl/i);
  await page.goto(desk.home);
  await page.getByLabel("Repo", { exact: true }).selectOption(CORPUS);
  await page.waitForURL(/repo=/);
  for (const repo of await rows().evaluateAll((all) => all.map((row) => row.dataset.repo))) assert.equal(repo, CORPUS);
  const times = () => page.locator(".where time").evaluateAll((all) => all.map((time) => time.dateTime));
  const oldest = await times();
  assert.deepEqual(oldest, oldest.toSorted());
  await page.getByLabel("Order").selectOption("newest");
  await page.waitForURL(/sort=newest/);
  assert.deepEqual(await times(), [...oldest].reverse());
  await page.goto(desk.home);
  const rule = await page.getByLabel("Rule").locator("option").nth(1).getAttribute("value");
  await page.getByLabel("Rule").selectOption(rule);
  await page.waitForURL(/rule=/);
  assert.match(await page.locator(".summary").innerText(), /found/);
});

test("keys move, select, search and show the help", async () => {
  const ids = await rows().evaluateAll((all) => all.slice(0, 3).map((row) => row.id));
  for (const id of ids) { await page.keyboard.press("j"); assert.equal(await focused(), id); }
  await page.keyboard.press("k");
  assert.equal(await focused(), ids[1]);
  await page.keyboard.press("x");
  assert.ok(await page.locator(`#${ids[1]} input`).isChecked());
  assert.equal(await page.locator("#selected").innerText(), "1 selected");
  await page.keyboard.press("x");
  assert.ok(!await page.locator(`#${ids[1]} input`).isChecked());
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await axe(page, "help");
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  assert.equal(await focused(), "q");
  await page.keyboard.type("jkarsx?");
  assert.equal(await page.getByLabel("Search", { exact: true }).inputValue(), "jkarsx?");
});

test("a accepts, u undoes within five seconds, and the rest is sent", async () => {
  const { name } = await firstOf(MODEL);
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await until("the decision is shown", async () => (await status()).includes(`Accept ${name}`));
  assert.match(await status(), /gets access, without a reason/);
  assert.match(await status(), /Sent in [1-5] s/);
  assert.notEqual(await nameOf(rows().first()), name);
  await page.keyboard.press("u");
  await until("the person is back", async () => await nameOf(rows().first()) === name);
  assert.ok(!await isOn(MODEL, "accepted", name)());
  assert.ok(!hub.calls.some((call) => call.startsWith("POST")));
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  await rows().first().focus();
  await page.keyboard.press("a");
  await until("the Hub has it", isOn(MODEL, "accepted", name));
  await until("the page says so", async () => (await status()).includes(`accept ${name} (${MODEL}): done`));
});

test("r and s show what is sent, with a reason of the policy or a typed one", async () => {
  const { row, name } = await firstOf(CORPUS);
  await row.focus();
  await page.keyboard.press("r");
  const dialog = page.getByRole("dialog", { name: `Reject ${name}` });
  await dialog.getByRole("button", { name: "We cannot ship there." }).click();
  assert.match(await dialog.innerText(), /is shown “We cannot ship there.”/);
  assert.match(await dialog.innerText(), /can never ask again/);
  await axe(page, "dialog");
  await page.keyboard.press("Enter");
  await until("it waits", async () => (await status()).includes(`Reject ${name}`));
  assert.match(await status(), /is shown: We cannot ship there\./);
  const second = rows().first(), other = await nameOf(second);
  await second.focus();
  await page.keyboard.press("s");
  const reset = page.getByRole("dialog", { name: `Reset ${other}` });
  await reset.getByLabel("Reason", { exact: true }).fill("ü".repeat(250));
  assert.equal((await reset.getByLabel("Reason", { exact: true }).inputValue()).length, 200);
  await reset.getByRole("button", { name: "Reset" }).click();
  await until("both are sent", async () => await isOn(CORPUS, "rejected", name)() && await isOn(CORPUS, "reset", other)());
  await until("the page says so", async () => /reset .*: done/.test(await status()));
});

test("selected people are decided together after a look at them", async () => {
  await page.goto(`${desk.home}?repo=${encodeURIComponent(MODEL)}`);
  const names = await rows().evaluateAll((all) => all.slice(0, 12).map((row) => row.dataset.name));
  await page.keyboard.press("j");
  for (const _ of names) { await page.keyboard.press("x"); await page.keyboard.press("j"); }
  assert.equal(await page.locator("#selected").innerText(), "12 selected");
  await page.getByRole("button", { name: "Accept selected" }).click();
  await page.getByRole("dialog", { name: "Accept 12 people" }).getByRole("button", { name: "Accept" }).click();
  await until("all are in", async () => {
    const accepted = await hub.users(MODEL, "accepted");
    return names.every((name) => accepted.includes(name));
  });
  await until("nothing waits", async () => !/Accept /.test(await status()));
});

test("two tabs: the second cannot decide whom the first has decided", async () => {
  const { name } = await firstOf(MODEL);
  const second = watched(await context.newPage());
  await second.goto(page.url());
  await rows().first().focus();
  await page.keyboard.press("a");
  await until("the first tab has decided", async () => (await status()).includes(`Accept ${name}`));
  await rows(second).first().getByRole("button", { name: /^Reject/ }).click();
  await second.keyboard.press("Enter");
  await until("the second is refused", async () => (await status(second)).includes("1 decision refused, because the request has changed"));
  assert.notEqual(await nameOf(rows(second).first()), name);
  await until("the first one holds", isOn(MODEL, "accepted", name));
  assert.ok(!await isOn(MODEL, "rejected", name)());
  await second.close();
});

test("a request that another person decides meanwhile is not overruled", async () => {
  const { row, name } = await firstOf(MODEL);
  await row.focus();
  await page.keyboard.press("a");
  await until("it waits", async () => (await status()).includes(`Accept ${name}`));
  await hub.decide(MODEL, name, "rejected");
  await until("the desk says so", async () => (await status()).includes(`accept ${name} (${MODEL}): not sent: the request has changed`));
  assert.ok(await isOn(MODEL, "rejected", name)());
  await page.getByRole("button", { name: "Dismiss" }).click();
  await until("it is dismissed", async () => !(await status()).includes("not sent"));
});

test("a closed tab does not lose a decision", async () => {
  const other = watched(await context.newPage());
  await other.goto(`${desk.home}?repo=${encodeURIComponent(CORPUS)}`);
  const name = await nameOf(rows(other).first());
  await rows(other).first().getByRole("button", { name: /^Accept/ }).click();
  await until("it waits", async () => (await status(other)).includes(`Accept ${name}`));
  await other.close();
  await until("the Hub has it", isOn(CORPUS, "accepted", name));
});

test("a Hub that fails leaves the request, and the desk says so", async () => {
  const { row, name } = await firstOf(VISION);
  hub.mode = "fail";
  await row.focus();
  await page.keyboard.press("a");
  await until("the desk gives up", async () => /accept .* (not sent|unknown)/.test(await status()), 60);
  hub.mode = "pass";
  await page.reload();
  assert.equal(await nameOf(rows().first()), name);
  assert.ok(await isOn(VISION, "pending", name)());
  await page.getByRole("button", { name: "Dismiss" }).click();
});

test("a used up rate limit is shown, and the decision is sent afterwards", async () => {
  const { row, name } = await firstOf(VISION);
  await row.focus();
  await page.keyboard.press("a");
  hub.mode = "limit";
  await until("the page says so", async () => (await status()).includes("its rate limit is used up"));
  await until("the Hub has it", isOn(VISION, "accepted", name), 30);
});

test("the second tab finds accepted people and revokes access", async () => {
  await page.getByRole("link", { name: "Decided" }).click();
  await page.getByLabel("Repo", { exact: true }).selectOption(MODEL);
  await page.waitForURL(/repo=/);
  const name = await nameOf(rows().nth(3));
  await page.getByLabel("User name begins with").fill(name.slice(0, -1).toUpperCase());
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.waitForURL(/q=/);
  const row = page.locator(`.request[data-name="${name}"]`);
  await axe(page, "decided");
  await row.getByRole("button", { name: /^Revoke/ }).click();
  const dialog = page.getByRole("dialog");
  assert.match(await dialog.innerText(), /may ask again/);
  await dialog.getByLabel("Reason", { exact: true }).fill("Please tell us what you publish.");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await until("it waits", async () => (await status()).includes(`Reset ${name}`));
  await until("access is gone", isOn(MODEL, "reset", name));
  await page.goto(`${desk.home}decided?status=rejected&repo=${encodeURIComponent(MODEL)}`);
  assert.ok(await rows().first().getByRole("button", { name: /^Let ask again/ }).isVisible());
});

test("everything works without JavaScript", async () => {
  const cookies = await context.cookies();
  const plain = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1000, height: 800 } });
  await plain.addCookies(cookies);
  const page = watched(await plain.newPage());
  await page.goto(`${desk.home}?repo=${encodeURIComponent(MODEL)}`);
  const name = await nameOf(rows(page).first());
  await page.getByLabel("Reason for a reset").fill("We cannot.");
  await page.keyboard.press("Enter");
  assert.equal(await nameOf(rows(page).first()), name, "Enter in the reason presses no button");
  await rows(page).first().getByRole("checkbox").check();
  await page.getByLabel("Reason for a reset").fill("We cannot.");
  await page.getByRole("button", { name: "Reject selected" }).click();
  assert.match(await status(page), new RegExp(`Reject ${name}`));
  assert.match(await status(page), /is shown: We cannot\./);
  await page.locator(".actions").getByRole("button", { name: "Undo" }).click();
  assert.equal(await nameOf(rows(page).first()), name);
  await rows(page).first().getByRole("button", { name: /^Accept/ }).click();
  await until("the Hub has it", isOn(MODEL, "accepted", name));
  await plain.close();
});

test("light, dark, wide and narrow: axe finds nothing serious, and nothing is cut off", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.goto(`${desk.home}?show=all`);
      await axe(page, `${colorScheme} ${width}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${colorScheme} ${width}: the page is ${wide} wide`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
});

// ---- Attacks

/** Serves a page at another origin, and returns its address. */
async function attacker(html) {
  const server = http.createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end(html));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref();
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A form of the desk that would reject the first person, as an attacker who knows everything but the cookie could make it. */
async function formOfDesk() {
  const row = rows().first();
  const value = await row.getByRole("button", { name: /^Reject/ }).getAttribute("value");
  const mark = await page.locator("form.decide input[name=form]").inputValue();
  return { name: await nameOf(row), repo: await repoOf(row), form: { form: mark, one: value, reason: "" } };
}

const posts = () => hub.calls.filter((call) => call.startsWith("POST")).length;

test("another origin cannot send a form", async () => {
  const { form } = await formOfDesk();
  const inputs = Object.entries(form).map(([name, value]) => `<input name="${name}" value="${value}">`).join("");
  const evil = await attacker(`<form method="post" action="${desk.home}decide">${inputs}</form><script>document.forms[0].submit()</script>`);
  for (const host of ["127.0.0.1", "localhost", REBOUND]) {
    const tab = await context.newPage();
    const refused = tab.waitForResponse((response) => response.url().startsWith(desk.home) && response.request().method() === "POST");
    await tab.goto(evil.replace("127.0.0.1", host));
    assert.equal((await refused).status(), 403);
    await tab.close();
  }
  assert.ok(!(await (await page.reload()).text()).includes("Sent in"));
});

test("another host name for this machine is refused", async () => {
  const tab = await context.newPage();
  for (const address of [desk.home, desk.address]) {
    const response = await tab.goto(address.replace("127.0.0.1", REBOUND));
    assert.equal(response.status(), 421);
    assert.match(await tab.locator("body").innerText(), /names another host/);
  }
  await tab.close();
});

test("a guessed, wrong or used token is refused", async () => {
  const stranger = await browser.newContext();
  const tab = await stranger.newPage();
  const guess = desk.address.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
  for (const address of [desk.home, `${desk.home}desk.css`, `${desk.home}decided`, guess, desk.address, `${desk.home}?token=`]) {
    const response = await tab.goto(address);
    assert.equal(response.status(), 403, address);
    assert.ok(!(await response.text()).includes("acme"), address);
  }
  assert.equal((await tab.goto(new URL("/", desk.home).href)).status(), 403);
  await stranger.close();
});

test("a form that was sent before is refused", async () => {
  const { form, name } = await formOfDesk();
  const before = posts();
  const origin = new URL(desk.home).origin;
  const send = () => context.request.post(`${desk.home}decide`, { form, headers: { origin }, maxRedirects: 0 });
  assert.equal((await send()).status(), 303);
  await page.reload();
  await page.locator(".actions").getByRole("button", { name: "Undo" }).click();
  await until("it is undone", async () => await nameOf(rows().first()) === name);
  const replayed = await send();
  assert.equal(replayed.status(), 409);
  assert.match(await replayed.text(), /This form was sent before/);
  assert.equal(posts(), before);
  for (const headers of [{ origin: "null" }, { origin: "http://127.0.0.1:1" }, {}]) {
    assert.equal((await context.request.post(`${desk.home}decide`, { form, headers })).status(), 403);
  }
});

test("the desk is not shown in a frame", async () => {
  const evil = await attacker(`<iframe src="${desk.home}"></iframe><object data="${desk.home}"></object>`);
  const tab = await context.newPage();
  const refused = tab.waitForResponse((response) => response.url() === desk.home);
  await tab.goto(evil);
  assert.equal((await refused).status(), 403);
  for (const frame of tab.frames().slice(1)) assert.ok(!(await frame.content()).includes("Doorman desk"));
  const { "content-security-policy": policy, "x-frame-options": frames } = (await page.reload()).headers();
  assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(frames, "DENY");
  await tab.close();
});
