// Makes the pictures of the documents: node tests/desk/screenshots.mjs FOLDER, with the variables that scripts/verify/desk.py sets.
// Names in Chinese or Japanese need the fonts of Debian's package fonts-noto-cjk.

import { Hub, startBrowser, startDesk, stopAll } from "./support.mjs";

const folder = process.argv[2];
const [browser, hub] = await Promise.all([startBrowser(), Hub.start()]);
const desk = await startDesk(hub);
const context = await browser.newContext({ viewport: { width: 1160, height: 720 } });
const page = await context.newPage();
await page.goto(desk.address);
await page.waitForURL(desk.home);
await page.goto(`${desk.home}?repo=acme%2Fgated-model`);

// One decision waits, another is being made.
await page.keyboard.press("j");
await page.keyboard.press("a");
await page.locator(".choices").waitFor();
await page.keyboard.press("j");
await page.screenshot({ path: `${folder}/desk-light.png` });
await page.emulateMedia({ colorScheme: "dark" });
await page.locator(".request").nth(1).focus();
await page.keyboard.press("s");
await page.getByRole("dialog").getByRole("button", { name: /affiliation/ }).click();
await page.screenshot({ path: `${folder}/desk-dark.png` });
await page.keyboard.press("Escape");
if (process.argv[3]) {
  // Further pictures to look at, which no document shows.
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(`${desk.home}?show=all`);
  await page.screenshot({ path: `${folder}/look-all.png`, fullPage: true });
  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto(desk.home);
  await page.screenshot({ path: `${folder}/look-phone.png` });
  await page.locator(".request").nth(3).scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${folder}/look-phone-scrolled.png` });
  await page.setViewportSize({ width: 1160, height: 720 });
  await page.goto(`${desk.home}decided`);
  await page.screenshot({ path: `${folder}/look-decided.png` });
  await page.keyboard.press("?");
  await page.screenshot({ path: `${folder}/look-keys.png` });
}
await browser.close();
await stopAll();
