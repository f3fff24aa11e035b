// The desk in a real browser, as its owner uses it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "./support.mjs";
import {
  axe, browser, context, CORPUS, desk, firstOf, focused, hub, isOn, MODEL, nameOf, page, rows, status, watched,
} from "./session.mjs";

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
  await page.getByRole("button", { name: "Search", exact: true }).click();
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

test("quick keys decide one person after the other, and undo the last", async () => {
  const names = await rows().evaluateAll((all) => all.slice(0, 3).map((row) => row.dataset.name));
  const queued = () => page.locator(".choices li .what b:last-of-type").allInnerTexts();
  await page.keyboard.press("j");
  // All keys come before the first response.
  await page.route("**/decide*", async (route) => {
    for (const key of ["a", "a", "u"]) await page.keyboard.press(key);
    await route.continue();
  }, { times: 1 });
  await page.keyboard.press("a");
  await until("the third one is undone", async () => await queued() + "" === [names[1], names[0]] + "" && await nameOf(rows().first()) === names[2]);
  await page.getByRole("button", { name: "Undo all" }).click();
  await page.locator(".choices").waitFor({ state: "detached" });
});

test("a key that is held down decides one person", async () => {
  await page.keyboard.press("j");
  for (let count = 0; count < 6; count += 1) await page.keyboard.down("a");
  await page.keyboard.up("a");
  await page.locator(".choices li").first().waitFor();
  assert.equal(await page.locator(".choices li").count(), 1);
  await page.keyboard.press("u");
  await page.locator(".choices li").first().waitFor({ state: "detached" });
});

test("a accepts, u undoes within five seconds, and the rest is sent", async () => {
  const { name } = await firstOf(MODEL);
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await until("the decision is shown", async () => (await status()).includes(`Accept ${name}`));
  assert.match(await status(), /gets access, without a reason/);
  assert.match(await status(), /Sends in [1-5] s/);
  assert.notEqual(await nameOf(rows().first()), name);
  await page.keyboard.press("u");
  await until("the person is back", async () => await nameOf(rows().first()) === name);
  await until("the next key is about them", async () => await focused() === await rows().first().getAttribute("id"));
  assert.ok(!await isOn(MODEL, "accepted", name)());
  assert.ok(!hub.calls.some((call) => call.startsWith("POST")));
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
  assert.match(await dialog.innerText(), /ignores their further requests/);
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

test("decisions in a row never cover the next person, and all can be undone", async () => {
  await page.setViewportSize({ width: 1000, height: 600 });
  await page.keyboard.press("j");
  const names = [];
  for (let i = 0; i < 8; i += 1) {
    // What a person sees where the name of the focused person is.
    const seen = await page.evaluate(() => {
      const link = document.activeElement.querySelector(".name");
      // A long name may take several lines.
      const [{ left, top, height }] = link.getClientRects();
      return link.contains(document.elementFromPoint(left + 2, top + height / 2)) && document.activeElement.dataset.name;
    });
    assert.ok(seen && !names.includes(seen), `${i}: ${seen}`);
    names.push(seen);
    await page.keyboard.press("a");
    await until("it waits", async () => (await status()).includes(`Accept ${seen}`));
  }
  const before = hub.calls.filter((call) => call.startsWith("POST")).length;
  await page.getByRole("button", { name: "Undo all" }).click();
  await until("all are back", async () => (await page.locator(".choices").count()) === 0);
  assert.equal(hub.calls.filter((call) => call.startsWith("POST")).length, before);
  await page.setViewportSize({ width: 1280, height: 900 });
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
  await until("the second is refused", async () => (await status(second)).includes("Not accepted: 1 decision. The requests have changed"));
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
  assert.equal(await rows().and(page.locator(`[data-name="${name}"]`)).count(), 0, "the new state is shown");
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
  await page.locator(".choices").getByRole("button", { name: "Undo" }).click();
  assert.equal(await nameOf(rows(page).first()), name);
  await rows(page).first().getByRole("button", { name: /^Accept/ }).click();
  await until("the Hub has it", isOn(MODEL, "accepted", name));
  await plain.close();
});
