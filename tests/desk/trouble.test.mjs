// The desk in a real browser: when the Hub fails, in other colours and widths, and under attack.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";

import { REBOUND, startDesk, until } from "./support.mjs";
import { axe, browser, context, desk, firstOf, hub, isOn, nameOf, page, rows, status, VISION } from "./session.mjs";

test("a Hub that fails leaves the request, and the desk says so", async () => {
  const { row, name } = await firstOf(VISION);
  hub.mode = "fail";
  await row.focus();
  await page.keyboard.press("a");
  await until("the desk gives up", async () => /accept .* (not done|unknown)/.test(await status()), 60);
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

test("light, dark, wide and narrow: axe finds nothing serious, and nothing is cut off", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.goto(`${desk.home}?show=all`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${colorScheme} ${width}: the page is ${wide} wide`);
      // axe takes seconds for a hundred people, and finds the same faults with fewer.
      await page.goto(`${desk.home}?repo=${encodeURIComponent(VISION)}`);
      await axe(page, `${colorScheme} ${width}`);
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
  return { name: await nameOf(row), form: { form: mark, one: value, reason: "" } };
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
  assert.ok(!(await (await page.reload()).text()).includes("Sends in"));
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
  await page.locator(".choices").getByRole("button", { name: "Undo" }).click();
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
  for (const frame of tab.frames().slice(1)) assert.ok(!(await frame.content().catch(() => "")).includes("Doorman desk"));
  const { "content-security-policy": policy, "x-frame-options": frames } = (await page.reload()).headers();
  assert.match(policy, /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(frames, "DENY");
  await tab.close();
});

test("a click on the printed address in another page opens the desk", async () => {
  const other = await startDesk(hub);
  const terminal = await attacker(`<a href="${other.address}">the desk</a>`);
  const stranger = await browser.newContext();
  const tab = await stranger.newPage();
  await tab.goto(terminal.replace("127.0.0.1", "localhost"));
  await tab.getByRole("link").click();
  await tab.waitForURL(other.home);
  assert.ok(await rows(tab).count() > 0);
  await stranger.close();
});
