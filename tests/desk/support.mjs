// The processes of the tests: the stand-in Hub, a proxy in front of it that can fail, the desk, and the browser.

import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const { DESK_MODULES, CARGO_TARGET_DIR, CHROMIUM = "/usr/bin/chromium" } = process.env;
const require = createRequire(`${DESK_MODULES}/modules.js`);
export const { chromium } = require("playwright-core");
export const { AxeBuilder } = require("@axe-core/playwright");

/** A host name that the browser resolves to this machine, as a rebound name of an attacker would be. */
export const REBOUND = "rebound.example";

/** The root of the repository, from which the stand-in names the policy. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const running = [];

/** Starts a program, and resolves to the process and its lines until `isReady`. */
async function start(program, args, env, isReady) {
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const lines = [];
  const reader = createInterface({ input: child.stdout });
  const ready = new Promise((resolve, reject) => {
    reader.on("line", (line) => { lines.push(line); if (isReady(line)) resolve(); });
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}: ${log.join("\n")}`)));
  });
  await ready;
  return { child, lines, log };
}

/** Ends everything that was started. */
export async function stopAll() {
  for (const child of running.splice(0)) {
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
}

/** The stand-in Hub behind a proxy. `mode` is `pass`, `fail` or `limit`. */
export class Hub {
  static async start(crowd = 300) {
    const hub = new Hub();
    const started = await start(`${CARGO_TARGET_DIR}/debug/examples/hub`, ["--crowd", String(crowd)], process.env,
      (line) => line.startsWith("APPROVAL_POLICY="));
    hub.settings = Object.fromEntries(started.lines.map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1).replace(/^`|`$/g, "")];
    }));
    hub.mode = "pass";
    hub.calls = [];
    hub.proxy = http.createServer((request, response) => hub.answer(request, response));
    hub.proxy.listen(0, "127.0.0.1");
    await once(hub.proxy, "listening");
    hub.proxy.unref();
    return hub;
  }

  answer(request, response) {
    this.calls.push(`${request.method} ${request.url}`);
    const isWrite = request.method === "POST";
    if (this.mode === "fail" && isWrite) return response.writeHead(500).end("{}");
    if (this.mode === "limit") {
      const headers = { RateLimit: '"api";r=0;t=6', "RateLimit-Policy": '"fixed window";"api";q=1000;w=300' };
      this.mode = "pass";
      return response.writeHead(429, headers).end("{}");
    }
    const url = new URL(request.url, this.settings.HF_ENDPOINT);
    const onward = http.request(url, { method: request.method, headers: { ...request.headers, host: url.host } }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  }

  get endpoint() { return `http://127.0.0.1:${this.proxy.address().port}`; }

  /** A call to the Hub, as another person with write access makes it. */
  async call(method, path, body) {
    const headers = { authorization: `Bearer ${this.settings.HF_TOKEN}`, "content-type": "application/json" };
    const answer = await fetch(this.settings.HF_ENDPOINT + path, { method, headers, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** The user names on a list. */
  async users(repo, status) {
    const type = repo.startsWith("datasets/") ? "" : "models/";
    const list = await this.call("GET", `/api/${type}${repo}/user-access-request/${status}?limit=1000`);
    return list.map((entry) => entry.user?.user ?? `request:${entry.requestId}`);
  }

  async decide(repo, user, status) {
    const type = repo.startsWith("datasets/") ? "" : "models/";
    await this.call("POST", `/api/${type}${repo}/user-access-request/handle`, { user, status });
  }
}

/** Starts the desk for a Hub. `address` works in one browser. */
export async function startDesk(hub, { variables = {}, args = [] } = {}) {
  const { HF_TOKEN, APPROVAL_POLICY, REPOS } = hub.settings;
  const env = { HF_TOKEN, APPROVAL_POLICY, REPOS, HF_ENDPOINT: hub.endpoint, NO_PROXY: "127.0.0.1", ...variables };
  const started = await start(`${CARGO_TARGET_DIR}/debug/doorman`, ["desk", "--no-browser", ...args], env,
    (line) => line.startsWith("http://127.0.0.1:"));
  const address = started.lines.at(-1);
  return { ...started, address, home: address.split("?")[0] };
}

export const startBrowser = () => chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage", `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`],
});

/** Waits until a condition holds. */
export async function until(what, condition, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
