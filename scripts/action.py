#!/usr/bin/env python3
"""The GitHub Action: installs the command line, tests the policy, decides the requests, and writes a summary of the job.

It reads environment variables, which action.yml sets. It needs only Python.
"""

import html
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

# The exit status of `doorman review` if something is left for the next run.
LEFT = 3
# The cells of a line of `doorman review` in a pipe.
CELLS = ("time", "repo", "user", "asked", "verdict", "rule", "why", "outcome")
# GitHub allows 1 MiB. A row has at most about 1 KB.
MAX_ROWS = 500
# Characters that Markdown or GitHub may read as mark-up or as a mention.
MARK_UP = re.compile(r"[\\`*_{}\[\]()#+!|~<>@&:.-]")


def main():
    with tempfile.TemporaryDirectory() as folder:
        doorman = install(Path(folder))
        policy, cases = os.environ["POLICY"], os.environ.get("CASES", "")
        if cases:
            tested = subprocess.run([doorman, "test", policy, cases])
            if tested.returncode:
                sys.exit("::error::a case of the policy fails, so no request is decided")
        review = subprocess.run([doorman, "review", "--yes", "--policy", policy], capture_output=True, text=True)
    print(review.stderr, end="", flush=True)
    problems = [line.partition(" doorman: ")[2] for line in review.stderr.splitlines() if " doorman: " in line]
    rows = [dict(zip(CELLS, line.split("\t"))) for line in review.stdout.splitlines() if line.count("\t") == len(CELLS) - 1]
    write_summary(rows, problems, review.returncode)
    if review.returncode == LEFT:
        print("::warning::something is left for the next run; the log above says what")
    elif review.returncode:
        sys.exit(review.returncode)


def install(folder):
    """Installs the command line into a virtual environment. Returns the path of the program."""
    venv.create(folder / "environment", with_pip=True)
    scripts = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, os.environ["PACKAGE"]], check=True)
    return scripts / "doorman"


def write_summary(rows, problems, status):
    """Writes which requests were decided and why, which are held, and what went wrong. If everybody can read the job, no user is named."""
    counts = Counter(row["verdict"] if row["outcome"] in ("done", "held", "dry run") else row["outcome"] for row in rows)
    totals = ", ".join(f"{number} {escaped(word)}" for word, number in sorted(counts.items()))
    lines = ["## Access requests", "", totals or "No request is pending."]
    if status == LEFT:
        lines += ["", "Something is left for the next run."]
    lines += ["", *(f"- {escaped(problem)}" for problem in problems)] if problems else []
    if os.environ.get("VISIBILITY") == "public":
        lines += ["", "Everybody can read this summary, so it names no users. Run this workflow in a private repository to see them."]
    else:
        held = [row for row in rows if row["verdict"] == "hold"]
        decided = [row for row in rows if row["verdict"] != "hold"]
        is_dry = any(row["outcome"] == "dry run" for row in rows)
        lines += table("Held: a person decides", held) + table("Would be decided" if is_dry else "Decided", decided)
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    with open(target, "a", encoding="utf-8") if target else sys.stdout as out:
        print("\n".join(lines), file=out)


def table(title, rows):
    if not rows:
        return []
    lines = ["", f"### {title}", "", "| user | repo | asked | verdict | why |", "|---|---|---|---|---|"]
    for row in rows[:MAX_ROWS]:
        why = ", ".join(text for text in (row["rule"], row["why"]) if text)
        cells = [link(row["user"]), link(row["repo"], "settings"), row["asked"][:10], row["verdict"], why]
        lines.append(f"| {' | '.join(cell if cell.startswith('<a ') else escaped(cell) for cell in cells)} |")
    if len(rows) > MAX_ROWS:
        lines += ["", f"And {len(rows) - MAX_ROWS} more."]
    return lines


def link(name, *path):
    """A link to a user or to a page of a repo on the Hub. A request without a user has no page."""
    if not re.fullmatch(r"(datasets/)?[\w.-]+(/[\w.-]+)?", name, re.ASCII):
        return name
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return f'<a href="{html.escape("/".join([hub, name, *path]))}">{escaped(name)}</a>'


def escaped(text):
    """The text with each character that could be mark-up as a character reference."""
    return MARK_UP.sub(lambda found: f"&#{ord(found[0])};", text)


if __name__ == "__main__":
    main()
