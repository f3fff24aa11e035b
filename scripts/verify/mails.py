"""Sends the Hub's mails, as SES, SNS and SQS pass them on, and an order to the function under AWS's Runtime Interface Emulator.

The scripts of docs/triggers.md for people without a domain run in Node, with stand-ins for the services of Cloudflare and Google, and
prompt the same function.
"""

import json
import re
import subprocess
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from checks import expect, require
from running import Function, Hub, sample
from template import Stack
from template_checks import MAIL
from tools import ROOT

# When the mails of the sample events arrived.
ARRIVED = "2026-11-27T12:00:03.100Z"

CLOUDFLARE = """
const calls = [];
const message = { headers: new Headers({ from: process.env.FROM }), forward: async (address) => calls.push(address) };
const env = { DOORMAN_URL: process.env.URL, WEBHOOK_SECRET: process.env.SECRET, FORWARD_TO: "ada@acme.com" };
await worker.email(message, env);
if (calls.join() !== "ada@acme.com") throw new Error("the mail is not forwarded");
"""

# Apps Script's services are synchronous, so curl makes the calls.
GOOGLE = """
const { execFileSync } = require("child_process");
const values = { DOORMAN_URL: process.env.URL, WEBHOOK_SECRET: process.env.SECRET };
const PropertiesService = { getScriptProperties: () => ({ getProperty: (name) => values[name] }) };
let threads = Number(process.env.THREADS);
const thread = { removeLabel: () => { threads -= 1; } };
const GmailApp = { getUserLabelByName: () => ({ getThreads: () => Array(threads).fill(thread) }) };
const UrlFetchApp = { fetch(url, { method, contentType, payload, headers }) {
  const options = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--request", method.toUpperCase(), url];
  for (const [name, value] of Object.entries(headers)) options.push("--header", `${name}: ${value}`);
  options.push("--header", `Content-Type: ${contentType}`, "--data-binary", payload);
  const code = Number(execFileSync("curl", options, { encoding: "utf8" }));
  return { getResponseCode: () => code };
} };
"""


def check():
    with Hub() as hub:
        stack = Stack(**hub.parameters(**MAIL | {"MailSecret": hub.settings["MAIL_SECRET"]}))
        with Function(stack, hub) as function:
            for name, mails in ("mail", 1), ("mail-sns", 1), ("mail-sqs", 2):
                check_mail(function, name, mails)
            answer = function.invoke(sample("order"))[1]
            expect(answer["statusCode"] == 200 and "reviewed" in answer["body"], "an order over HTTP sweeps", answer)
            forged = json.loads(json.dumps(sample("mail")).replace('"dmarcVerdict": {"status": "PASS"}', '"dmarcVerdict": {"status": "FAIL"}'))
            status, answer = function.invoke(forged)
            expect(answer["status"] == "ignored", "a forged mail prompts nothing", (status, answer))
            with Url(function) as url:
                check_scripts(url, hub.settings["WEBHOOK_SECRET"])


def check_mail(function, name, mails):
    now = datetime.now(timezone.utc).isoformat()
    status, answer = function.invoke(json.loads(json.dumps(sample(name)).replace(ARRIVED, now)))
    expect((status, answer.get("status")) == (200, "reviewed"), f"{name}: a review of what the mail names", answer)
    counted = [line["Mails"] for line in map(json.loads, function.metrics()) if "Mails" in line]
    require(counted[-1:] == [mails], f"{name}: the mails are counted", counted)


class Url:
    """An HTTP server that passes each request on as Lambda's Function URL does. It remembers the responses."""

    def __init__(self, function):
        self.answers = answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                event = sample("order")
                event["headers"] = {name.lower(): value for name, value in self.headers.items()}
                event["body"] = self.rfile.read(int(self.headers["Content-Length"])).decode()
                _, answer = function.invoke(event)
                answers.append(answer)
                body = answer.get("body", "").encode()
                self.send_response(answer["statusCode"])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def run(self, kind, script, secret, **added):
        """Runs a script, and returns its exit status and the statuses of the responses that it got."""
        before = len(self.answers)
        environment = {"URL": f"http://127.0.0.1:{self.server.server_port}/", "SECRET": secret, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        command = ["node", f"--input-type={kind}", "--eval", script]
        done = subprocess.run(command, env=environment | added, capture_output=True, text=True, timeout=60)
        return done.returncode, [answer["statusCode"] for answer in self.answers[before:]]


def check_scripts(url, secret):
    worker, gmail = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs" / "triggers.md").read_text(), re.M | re.S)
    worker = worker.replace("export default", "const worker =") + CLOUDFLARE
    cases = [("Hugging Face <a@notifications.huggingface.co>", [200]), ("a@huggingface.co", [200])]
    cases += [("a@nothuggingface.co", []), ("huggingface.co@evil.com", []), ("<a@huggingface.co> <b@evil.com>", [])]
    for sender, expected in cases:
        seen = url.run("module", worker, secret, FROM=sender)
        require(seen == (0, expected), f"the worker of Cloudflare, for a mail of {sender}", seen)
    seen = url.run("module", worker, "wrong", FROM=cases[0][0])
    expect(seen == (0, [401]), "the worker of Cloudflare prompts a sweep for a mail of the Hub, and always forwards the mail", seen)
    gmail = GOOGLE + gmail + "promptDoorman();\nif (threads) throw new Error(`${threads} threads keep the label`);"
    for threads, secret_shown, expected in (("2", secret, (0, [200])), ("0", secret, (0, [])), ("2", "wrong", (1, [401]))):
        seen = url.run("commonjs", gmail, secret_shown, THREADS=threads)
        require(seen == expected, f"the script of Gmail, with {threads} threads", seen)
    expect(True, "the script of Gmail prompts one sweep for all mails, and again if it was refused", None)
