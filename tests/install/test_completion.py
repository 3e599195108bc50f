#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The completions for bash and zsh, run by these shells against a daemon, and compared with what usbwarp help says."""
import os
import pty
import re
import select
import string
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "daemon"))
from harness import BIN, PATIENCE, ROOT, Daemon, case, cli, equal, main  # noqa: E402

FOLDER = os.path.join(ROOT, "packaging", "completion")
ALPHABET = string.ascii_letters + string.digits + "/"
COMMON = {"--json", "--socket", "--help"}

BASH = r"""
source "$1"
complete -p usbwarp >/dev/null || exit
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
__usbwarp
printf '%s\n' "${COMPREPLY[@]}"
"""

# Every match goes into a file as well, between marks, so that nothing has to be read off the screen.
ZSH = r"""
PS1= PS2= ; unsetopt zle_bracketed_paste 2>/dev/null ; bindkey -e
fpath=(%(folder)s $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' verbose no
compadd()
{
	local -a hits
	if [[ " $* " = *' -'[OAD]' '* ]]; then builtin compadd "$@"; return; fi
	builtin compadd -A hits "$@"
	(( ! $#hits )) || print -lr -- $hits >>%(out)s
	builtin compadd "$@"
}
look() { unset 'compstate[vared]'; _main_complete; print -r -- '=end=' >>%(out)s; compstate[insert]= compstate[list]= }
zle -C look .complete-word look
bindkey '^I' look
print -r -- '=ready=' >>%(out)s
"""


def bash(*words):
    """What bash would offer for the last of these words."""
    done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", os.path.join(FOLDER, "usbwarp.bash"), *words],
                          capture_output=True, text=True, check=True, timeout=60 * PATIENCE)
    equal(done.stderr, "", f"bash, stderr for {words}")
    return sorted(filter(None, done.stdout.split("\n")))


class Zsh:
    """An interactive zsh on a terminal of its own."""

    def __init__(self, directory):
        self.out = os.path.join(directory, "zsh.out")
        start = os.path.join(directory, "zsh.rc")
        with open(start, "w", encoding="utf-8") as f:
            f.write(ZSH % {"folder": FOLDER, "out": self.out})
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(TERM="dumb", ZDOTDIR="/nonexistent", HOME=directory)
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.send(f" source {start}\r")
        self.until("=ready=")

    def send(self, text):
        os.write(self.fd, text.encode())

    def until(self, mark):
        end = time.monotonic() + 60 * PATIENCE
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                os.read(self.fd, 4096)
            if os.path.exists(self.out):
                with open(self.out, encoding="utf-8") as f:
                    text = f.read()
                if mark + "\n" in text:
                    os.unlink(self.out)
                    return sorted(set(text.split("\n")) - {mark, ""})
        raise AssertionError(f"zsh: no {mark}")

    def offers(self, *words):
        self.send("\x15" + " ".join(words) + "\t")
        # Where no word can follow, zsh offers options; bash does so only behind a dash.
        return [w for w in self.until("=end=") if w.startswith(words[-1] or tuple(ALPHABET))]

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class Both:
    """Both shells on one daemon, which have to agree."""

    def __init__(self, daemon):
        self.program, self.zsh = os.path.join(BIN, "usbwarp"), Zsh(daemon.directory)
        self.zsh.send(f" compdef _usbwarp {self.program}\r")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.zsh.close()

    def offer(self, *words, want):
        equal(bash(self.program, *words), sorted(want), f"bash: {words}")
        equal(self.zsh.offers(self.program, *words), sorted(want), f"zsh: {words}")


def options_of(text):
    return set(re.findall(r"^  (--[\w-]+)", text, re.M))


@case
def commands_and_options_are_those_of_help():
    commands = re.findall(r"^  ([a-z-]+) +", cli("help")[0], re.M)
    assert len(commands) > 6, commands
    with Daemon() as d, Both(d) as both:
        both.offer("", want=commands)
        both.offer("help", "", want=commands)
        both.offer("st", want=[c for c in commands if c.startswith("st")])
        both.offer("--", want=["--help", "--socket", "--version"])
        for command in commands:
            options = options_of(cli(command, "--help")[0])
            equal(COMMON - options, set(), command)
            both.offer(command, "--", want=options)


@case
def names_come_from_the_daemon():
    with Daemon(models=["pico", "zero", "pico"], vms=["vm1", "work"]) as d, Both(d) as both:
        where = ("--socket", d.control)
        d.cli("bind", "zero-1", "--vm", "work")
        both.offer(*where, "bind", "", want=["pico-1", "pico-2"])
        both.offer("bind", *where, "", want=["pico-1", "pico-2"])
        both.offer(*where, "bind", "z", want=[])
        both.offer(*where, "unbind", "", want=["zero-1"])
        both.offer(*where, "stats", "", want=["zero-1"])
        both.offer(*where, "bind", "pico-1", "--vm", "", want=["vm1", "work"])
        both.offer(*where, "bind", "--vm", "w", want=["work"])
        both.offer(*where, "bind", "--vm", "work", "pico-", want=["pico-1", "pico-2"])
        both.offer(*where, "bind", "pico-1", "", want=[])
        both.offer(*where, "qemu-args", "", want=["vm1", "work"])
        both.offer(*where, "list", "", want=[])
        equal(bash(both.program, *where, "bind", "--vm", "=", ""), ["vm1", "work"], "bash splits at =")
        equal(bash(both.program, "--socket", "=", d.control, "unbind", ""), ["zero-1"], "and here")
        equal(bash(both.program, "--socket", d.control[:-3]), [d.control, d.control + ".lock", d.control + ".log"],
              "files")


@case
def without_a_daemon_nothing_is_offered():
    with Daemon() as d, Both(d) as both:
        both.offer("--socket", "/nonexistent", "bind", "", want=[])


if __name__ == "__main__":
    main()
