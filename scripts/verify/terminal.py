"""Checks `doorman` on a terminal, which `cargo test` does not have: its questions, its drawing and width, and its secrecy."""

import json
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from checks import expect, ok, require
from pseudo_terminal import COLOUR, HEIGHT, SEQUENCES, WRITTEN, Terminal, piped
from running import Hub
from wcwidth import wcswidth

WIDTHS = (60, 80, 120)

# The crowd's gated repos with manual approval. In the first two, the rules decide some requests.
REPOS = ("acme/gated-model", "datasets/acme/gated-corpus", "acme/vision-model", "acme/discreet-model")

# As long as a URL that Lambda makes.
URL = "https://abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws/"

# For each command, the patterns that the first and the last screen must contain.
TABLES = {
    ("plan",): (r"^acme/automatic-model$\s+USER +ASKED +VERDICT +RULE +WHY$", r"^datasets/acme/\S+: 34 pending requests$"),
    ("plan", REPOS[0]): (
        r"^acme/gated-model$\s+USER ",
        r"50 pending requests$.*^Nothing was changed\. To carry this out:\s+doorman review acme/gated-model$",
    ),
    ("backtest",): (
        r"^acme/automatic-model: 31 decided requests$\s+STATUS +REQUESTS ",
        r"^ +\d+ +would be decided otherwise$.*^Nothing was changed\.$",
    ),
    ("backtest", REPOS[0]): (r"^rejected, the policy would accept: 2$\s+USER +DECIDED +RULE +WHY$", r"^In all$"),
    ("check",): (r"^ passed +APPROVAL_POLICY +4 rules$", r"^\d+ passed, \d+ warnings, 0 failed$"),
    ("webhook", "list"): (r"^0{10}\d+  enabled, secret, https:", r"^    org acme$"),
    ("list", REPOS[0]): (r"^\S+  20\d\d-\d\d-\d\d.*^    Affiliation: ", r"^    Country: .*^50 pending requests$"),
}

VERDICTS = ("accept", "reject", "reset", "hold")
TOTAL = re.compile(rf"^ +([\d,]+)  ({'|'.join(VERDICTS)}) ")
BAR = re.compile(r"([\d,]+) of ([\d,]+) decided")

# The typed bytes and the exit status of the command.
REFUSALS = {
    "n": (b"n\r", 1),
    "an empty line": (b"\r", 1),
    "another word": (b"yet\r", 1),
    "the end of input": (b"\x04", 1),
    "Ctrl-C": (b"\x03", -signal.SIGINT),
}


def check():
    WRITTEN.clear()
    with Hub("--crowd", "300") as hub:
        piped(hub, "webhook", "create", "--url", URL)
        check_tables(hub)
        check_colours(hub)
        check_refusals(hub)
        totals = check_consent(hub)
        mails = {one["email"] for repo in REPOS for one in json.loads(piped(hub, "export", repo))} - {None}
    check_init()
    check_without_question(totals)
    check_half_a_terminal(totals)
    check_change_of_mind(totals)
    check_decided_meanwhile()
    check_redirected(totals)
    check_rejections()
    check_bar()
    check_secrets(hub.settings, mails)


def check_init():
    """`deploy init` asks again after a wrong answer, and writes nothing if the input ends."""
    answers = ["", "acme/nothing", "acme/gated-model", "policy.toml", "none", "eu-central-1"]
    with Hub() as hub, tempfile.TemporaryDirectory() as folder:
        policy, settings = Path(folder) / "policy.toml", Path(folder) / "doorman.toml"
        policy.write_text("[[rules]]\nname = 'staff'\nthen = 'accept'\nif = \"user.domain == 'acme.com'\"\n")
        init = lambda typed: Terminal(hub, "deploy", "init", width=200, question=b": ", typed=typed, cwd=folder)
        shown = init([b"\r", b"\x04"])
        passes = shown.status == 1 and not settings.exists() and "Nothing was written." in shown.text
        require(passes, "deploy init writes nothing if the input ends", shown.lines)
        shown = init([answer.encode() + b"\r" for answer in answers])
        passes = shown.status == 0 and "doorman: acme/nothing: " in shown.text and settings.exists()
        require(passes, "deploy init asks again after a wrong answer", shown.lines)
        expect('repos = ["acme/gated-model"]' in settings.read_text(), "deploy init asks on a terminal", settings.read_text())


def check_tables(hub):
    answers = piped(hub, "list", REPOS[0], "--json")
    require(r"\u001b[2J\u001b]0;owned" in answers, "an answer in the crowd is hostile", answers)
    for arguments, (first, last) in TABLES.items():
        for width in WIDTHS:
            what = f"{' '.join(arguments)} on a terminal of {width} columns"
            shown = Terminal(hub, *arguments, width=width)
            lines = shown.written_lines()
            if "list" in arguments:
                # The other lines contain names, addresses and URLs, which may be longer than the terminal is wide.
                lines = [line for line in lines if line.startswith("    ")]
            if arguments[0] == "list":
                require("[2J\ufffd]0;owned" in "".join(shown.lines), f"{what}: the hostile text is shown", shown.lines)
            wide = [line for line in lines if not 0 <= wcswidth(line) <= width]
            require(lines and not wide, f"{what}: no line is wider", wide)
            for pattern, page in ((first, shown.lines[:HEIGHT]), (last, shown.lines[-HEIGHT:])):
                page = "\n".join(page)
                require(re.search(pattern, page, re.MULTILINE | re.DOTALL), f"{what}: {pattern}", page)
        expect(shown.status == 0, f"{' '.join(arguments)} at {WIDTHS} columns", shown.status)


def check_colours(hub):
    for arguments in TABLES:
        with_colours, without = Terminal(hub, *arguments), Terminal(hub, *arguments, variables={"NO_COLOR": "1"})
        require(COLOUR.search(with_colours.text), f"{arguments} has colours", with_colours.text)
        require(not COLOUR.search(without.text), f"{arguments} has none with NO_COLOR", without.text)
    colours = {verdict: set() for verdict in VERDICTS}
    for row in Terminal(hub, "plan", REPOS[0]).rows():
        text = "".join(row[x].data for x in range(80))
        for found in re.finditer(rf" ({'|'.join(VERDICTS)}) ", text):
            colours[found[1]].add(row[found.start(1)].fg)
    passes = all(len(one) == 1 for one in colours.values()) and len(set.union(*colours.values())) == 4
    expect(passes, "a colour for each verdict, none with NO_COLOR, and none in a pipe", colours)


def check_refusals(hub):
    before = pending(hub)
    for what, (typed, status) in REFUSALS.items():
        shown = Terminal(hub, "review", width=120, typed=typed)
        require(shown.has_asked and any(totals(shown)), f"review shows the totals and asks before {what}", shown.lines)
        require(pending(hub) == before, f"review answered with {what} changes nothing", shown.lines)
        expect(shown.status == status, f"review answered with {what}: it ends with {status}", shown.status)
    shown = Terminal(hub, "review", variables={"DRY_RUN": "true"})
    passes = not shown.has_asked and shown.status == 0 and pending(hub) == before
    expect(passes, "review with DRY_RUN does not ask, and changes nothing", shown.lines)


def check_consent(hub):
    """Checks that `review` does what it showed, and returns the totals."""
    before, in_plan = count_pending(hub), [row.split("\t")[3] for row in piped(hub, "plan").splitlines()]
    shown = Terminal(hub, "review", width=120, typed=b"y\r")
    expected = totals(shown)
    require(shown.has_asked and all(expected), "review shows the totals and asks", shown.lines)
    seen = (tuple(map(in_plan.count, VERDICTS)), asked(shown), report(shown), shown.status)
    passes = seen == (expected, expected[:3], expected, 0)
    expect(passes, f"review answered with y does what it showed: {expected}", (expected, *seen))
    expect(before - count_pending(hub) == sum(expected[:3]), "and so many are pending no more", (before, count_pending(hub)))
    shown = Terminal(hub, "review")
    passes = not shown.has_asked and shown.status == 0 and report(shown) == (0, 0, 0, expected[3])
    expect(passes, "review does not ask if there is nothing to decide", shown.lines)
    return expected


def check_without_question(totals):
    """Checks `review --yes` on the same requests: the stand-in Hub starts with the same crowd every time."""
    with Hub("--crowd", "300") as hub:
        shown = Terminal(hub, "review", "--yes")
        passes = (shown.has_asked, report(shown), shown.status) == (False, totals, 0)
        expect(passes, "review with --yes does the same and does not ask", shown.lines)


def check_half_a_terminal(totals):
    """`review` asks if any stream is a terminal. If the question cannot be answered, nothing changes."""
    with Hub("--crowd", "300") as hub, tempfile.TemporaryFile() as other:
        before = pending(hub)
        shown = Terminal(hub, "review", typed=b"", stdin=subprocess.DEVNULL)
        passes = asked(shown) == totals[:3] and shown.status == 1 and pending(hub) == before and "give --yes" in shown.text
        expect(passes, "review without a terminal to answer on changes nothing, and names --yes", shown.lines)
        shown = Terminal(hub, "review", stdout=other, stderr=other)
        passes = shown.status == 2 and b"give --yes" in content(other) and pending(hub) == before
        expect(passes, "review without a terminal to ask on changes nothing", shown.lines)
        shown = Terminal(hub, "review", typed=b"y\r", stderr=other)
        passes = (shown.has_asked, asked(shown), shown.status) == (True, totals[:3], 0)
        expect(passes, "review with its errors in a file asks on the terminal", shown.lines)


def check_change_of_mind(totals):
    """A request that arrives during the question is not decided by this run. It is named, and left for the next run."""
    with Hub("--crowd", "300") as hub:
        planned = {line.split("\t")[1] for line in piped(hub, "plan", REPOS[0]).splitlines()}
        # Access of all accepted users is cancelled, so that their requests are pending again.
        accepted = [one["user"] for one in json.loads(piped(hub, "list", REPOS[0], "--status", "accepted", "--json"))]
        shown = Terminal(hub, "review", typed=b"y\r", meanwhile=lambda: piped(hub, "cancel", REPOS[0], *accepted))
        questions = [line for line in shown.lines if line.startswith("In all: ")]
        passes = accepted and not planned & set(accepted) and len(set(questions)) == 1 and shown.status == 3
        expect(passes, "review asks once and says that requests are left", shown.lines)
        expect(report(shown)[:3] == totals[:3], "and applies the confirmed decisions", (totals, report(shown)))
        left = [line for line in shown.lines if re.search(r"\bleft$", line)]
        expect(0 < len(left) <= len(accepted), "and names the requests that it leaves", shown.lines)


def check_decided_meanwhile():
    """A person rejects a request during the question about accepting it. The rejection stands, and `review` shows it."""
    with Hub("--crowd", "300") as hub:
        rows = [line.split("\t") for line in piped(hub, "plan", REPOS[0]).splitlines()]
        user = next(row[1] for row in rows if row[3] == "accept")
        reject = lambda: piped(hub, "reject", REPOS[0], user, "--yes")
        shown = Terminal(hub, "review", typed=b"y\r", meanwhile=reject)
        gone = [line for line in shown.lines if user in line and re.search(r"\bgone$", line)]
        rejected = [one["user"] for one in json.loads(piped(hub, "list", REPOS[0], "--status", "rejected", "--json"))]
        expect(gone and user in rejected, "a request that was decided during the question is shown as gone", shown.lines)


def check_redirected(totals):
    """The question is on the terminal, and the file contains the report only."""
    for arguments, holds in ((["--json"], lambda text: bool(json.loads(text))), ([], lambda text: is_rows(text, totals))):
        with Hub("--crowd", "300") as hub, tempfile.TemporaryFile() as other:
            Terminal(hub, "review", *arguments, typed=b"y\r", stdout=other)
            text = content(other).decode()
            try:
                passes = holds(text)
            except ValueError:
                passes = False
            expect(passes, f"review {' '.join(arguments)} > file: the report and nothing else", text)


def is_rows(text, totals):
    rows = [line.split("\t") for line in text.splitlines()]
    return len(rows) == sum(totals) and all(len(row) == 8 for row in rows)


def check_rejections():
    """Commands name the users that they reject, and ask first."""
    with Hub("--crowd", "300") as hub:
        before = pending(hub)
        user = json.loads(piped(hub, "list", REPOS[0], "--json"))[0]["user"]
        for arguments in (["reject", REPOS[0], user], ["revoke", REPOS[0], user, "--final"]):
            shown = Terminal(hub, *arguments, typed=b"n\r")
            passes = shown.has_asked and user in "".join(shown.lines) and shown.status == 1 and pending(hub) == before
            expect(passes, f"{arguments[0]} names the user that it rejects, and asks", shown.lines)
        rejected = {row[1] for row in (line.split("\t") for line in piped(hub, "plan").splitlines()) if row[3] == "reject"}
        shown = Terminal(hub, "review", typed=b"y\r", width=120)
        text = "\n".join(shown.written_lines())
        named = len(re.findall(r"to reject\b|: rejected: ", text))
        expect(rejected and named >= 3, "review names the users that it rejects, before and after", shown.lines)
        named = {label for label, users in re.findall(r"^\S+: (to accept|accepted): (.*)$", text, re.MULTILINE) if users.count(", ") < 20}
        expect(named == {"to accept", "accepted"}, "review names up to 20 of the users that it accepts", text)


def check_bar():
    with Hub("--crowd", "20000") as hub:
        shown = Terminal(hub, "review", typed=b"n\r")
        drawn = [(whole(done), whole(of)) for done, of in BAR.findall(shown.text)]
        grows = len(set(drawn)) > 3 and all(done <= of for done, of in drawn) and drawn == sorted(drawn, key=sum)
        expect(grows, f"a bar is drawn {len(drawn)} times, up to {drawn[-1:]}", drawn)
        bars = [SEQUENCES.sub("", line) for line in re.split("[\r\n]", shown.text) if BAR.search(line)]
        wide = [line for line in bars if not 0 <= wcswidth(line) <= shown.width]
        require(not wide, "the bar is no wider than the terminal", wide)
        left = [line for line in shown.lines if BAR.search(line) or re.search("[█░⠁]|reading requests", line)]
        expect(shown.has_asked and not left and not shown.lines[0], "and the bar disappears at the end", shown.lines)
        with tempfile.TemporaryFile() as other:
            Terminal(hub, "plan", stdout=other)
            expect(b"\x1b" not in content(other), "a pipe gets no bar", "a bar")
        with tempfile.TemporaryFile() as other:
            shown = Terminal(hub, "plan", REPOS[1], stderr=other)
            seen = BAR.findall(shown.text), content(other)
            expect(seen == ([], b""), "if the errors go to a file, there is no bar", seen)


def check_secrets(settings, mails):
    """Checks all output so far."""
    shown = "".join(text for arguments, text in WRITTEN if arguments[0] in ("list", "export"))
    require(sum(mail in shown for mail in mails) > 100, "list and export show addresses", mails)
    # Every address ends with one of these domains.
    domains = {mail[mail.index("@") :] for mail in mails}
    for arguments, text in WRITTEN:
        leaked = [name for name in ("HF_TOKEN", "WEBHOOK_SECRET") if settings[name] in text]
        if arguments[0] not in ("list", "export"):
            leaked += [domain for domain in domains if domain in text]
        require(not leaked, f"{arguments} shows no secret, token or address", leaked)
    ok(f"{len(WRITTEN)} outputs contain no secret, and none of {len(mails)} addresses except where they belong")


def pending(hub):
    return [piped(hub, "list", repo, "--json") for repo in REPOS]


def count_pending(hub):
    return sum(len(json.loads(requests)) for requests in pending(hub))


def whole(number):
    return int(number.replace(",", ""))


def totals(shown):
    """Returns the totals that are shown before the question, in the order of `VERDICTS`."""
    found = [match.groups() for match in map(TOTAL.match, shown.lines) if match]
    return tuple(sum(whole(number) for number, of in found if of == verdict) for verdict in VERDICTS)


def asked(shown):
    """Returns the totals in the question, which leaves out held requests."""
    return count(shown, r"^In all: ", ("to accept", "to reject", "to reset"))


def report(shown):
    """Returns the totals in the report."""
    return count(shown, r"^\S+: [\d,]+ listed", ("accepted", "rejected", "reset", "held"))


def count(shown, line, kinds):
    lines = [line_ for line_ in shown.lines if re.match(line, line_)]
    return tuple(sum(whole(n) for one in lines for n in re.findall(rf"([\d,]+) {kind}", one)) for kind in kinds)


def content(file):
    file.seek(0)
    return file.read()
