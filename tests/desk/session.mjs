// A desk before 300 people and the page of its owner, for the tests of one file. Each test begins with the first page.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach } from "node:test";

import { AxeBuilder, Hub, startBrowser, startDesk, stopAll } from "./support.mjs";

export let browser, hub, desk, context, page;
const faults = [];

before(async () => {
  [browser, hub] = await Promise.all([startBrowser(), Hub.start()]);
  desk = await startDesk(hub);
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  page = watched(await context.newPage());
  await page.goto(desk.address);
  await page.waitForURL(desk.home);
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
export function watched(page) {
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("console", (message) => { if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) faults.push(message.text()); });
  page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(desk.home)) faults.push(`loads ${request.url()}`); });
  return page;
}

export const rows = (page_ = page) => page_.locator(".request");
export const nameOf = (row) => row.getAttribute("data-name");
export const focused = (page_ = page) => page_.evaluate(() => document.activeElement.id);
export const status = (page_ = page) => page_.locator("#status").innerText();

/** Opens the waiting people of one repo, and returns the first row with its name. */
export async function firstOf(repo) {
  await page.goto(`${desk.home}?repo=${encodeURIComponent(repo)}`);
  const row = rows().first();
  return { row, name: await nameOf(row) };
}

export const MODEL = "acme/gated-model", CORPUS = "datasets/acme/gated-corpus", VISION = "acme/vision-model";
export const isOn = (repo, list, name) => async () => (await hub.users(repo, list)).includes(name);

/** Checks a page with axe-core. */
export async function axe(page_, what) {
  const { violations } = await new AxeBuilder({ page: page_ }).analyze();
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => `${what}: ${id}: ${nodes[0].html} ${nodes[0].failureSummary}`), []);
}
