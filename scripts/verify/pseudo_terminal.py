"""Runs `doorman` on an emulated terminal, as a person sees it, and in a pipe, as another program does."""

import fcntl
import itertools
import os
import pty
import re
import select
import struct
import subprocess
import termios
import unicodedata

import pyte
import tools
from checks import NotOk, require
from running import stop

HEIGHT = 24
QUESTION = b"[y/N] "

COLOUR = re.compile(r"\x1b\[[\d;]*m")
# The escape sequences of tables and progress bars: colours, clearing a line, and moving a line up or down.
SEQUENCES = re.compile(r"\x1b\[(?:[\d;]*m|2?K|1?[AB])")
# Characters that change the direction of writing, and invisible ones.
HIDDEN = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")

# Every command that was run, with its output.
WRITTEN = []


class Terminal:
    """A command that ran on a terminal. At each question `typed` is typed; before the first one `meanwhile` is called.

    If `typed` is a list, each question gets the next of its items. `question` is the end of a question.

    The standard streams are the terminal, unless others are given.
    """

    def __init__(self, hub, *arguments, width=80, typed=b"\x03", question=QUESTION, meanwhile=None, variables=None, **streams):
        self.width, self.has_asked, self.raw = width, False, b""
        typed = iter(typed) if isinstance(typed, list) else itertools.repeat(typed)
        # More lines than any command writes, so that all lines that scroll away are kept.
        self.screen = pyte.HistoryScreen(width, HEIGHT, history=100_000)
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        process = subprocess.Popen(
            command(arguments),
            env=environment(hub) | (variables or {}),
            # A session of its own, so that Ctrl-C reaches it.
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),
            **{"stdin": terminal, "stdout": terminal, "stderr": terminal} | streams,
        )
        os.close(terminal)
        try:
            self.follow(process, master, question, typed, meanwhile)
        finally:
            stop(process)
            os.close(master)
        self.status, self.text = process.returncode, self.raw.decode()
        WRITTEN.append((arguments, self.text))
        rows = ["".join(row[x].data for x in range(width)).rstrip() for row in self.rows()]
        # Without the empty rows at the end of the screen.
        self.lines = "\n".join(rows).rstrip("\n").split("\n")
        self.expect_no_control(arguments)

    def follow(self, process, master, question, typed, meanwhile):
        stream = pyte.ByteStream(self.screen)
        while True:
            if not select.select([master], [], [], 60)[0]:
                raise NotOk(f"{process.args} has written nothing for a minute, after {self.raw[-1000:]}")
            try:
                written = os.read(master, 65_536)
            except OSError:
                # On Linux, this error means that no process has the terminal open any more.
                break
            self.raw += written
            stream.feed(written)
            if self.raw.endswith(question):
                if meanwhile and not self.has_asked:
                    meanwhile()
                self.has_asked = True
                os.write(master, next(typed))
        process.wait(60)

    def rows(self):
        """Returns the rows that scrolled off the screen and those on it, as characters with colours."""
        return [*self.screen.history.top, *(self.screen.buffer[y] for y in range(HEIGHT))]

    def expect_no_control(self, arguments):
        """Checks that texts of requesters cannot move the cursor, hide or clear text, or change the title."""
        rest = SEQUENCES.sub("", self.text)
        controls = {c for c in rest if unicodedata.category(c) == "Cc" and c not in "\r\n"} | set(HIDDEN.findall(rest))
        seen = (controls, self.screen.title, self.screen.icon_name, self.screen.cursor.hidden)
        require(seen == (set(), "", "", False), f"{arguments} controls nothing on the terminal", seen)

    def written_lines(self):
        """Returns the lines as they were written, before wrapping. Of a line that is redrawn, returns the last version."""
        return [SEQUENCES.sub("", line.rpartition("\r")[2]) for line in self.text.split("\r\n")]


def command(arguments):
    return [tools.TARGET / "debug" / "doorman", *arguments]


def environment(hub):
    # This machine's environment is not passed on, because it may contain a token or NO_COLOR.
    return hub.settings | {"TERM": "xterm-256color", "HOME": str(tools.WORK), "NO_PROXY": "127.0.0.1"}


def piped(hub, *arguments):
    """Runs a command in a pipe, which must succeed, and returns its standard output."""
    done = subprocess.run(
        command(arguments), env=environment(hub), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    wrote = done.stdout + done.stderr
    WRITTEN.append((arguments, wrote))
    require(done.returncode == 0 and "\x1b" not in wrote, f"{arguments} in a pipe", f"exit {done.returncode}, {wrote}")
    return done.stdout
