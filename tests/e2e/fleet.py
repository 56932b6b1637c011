"""A fleet of real daemons on this machine, for the end-to-end tests: coordinator and workers over tcp with keys."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PROGRAM = ""
SLOWNESS = float(os.environ.get("TROUPE_TEST_SLOWNESS", 1))  # Of a program with sanitizers.


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def eventually(holds, seconds=20, what="it"):
    end = time.monotonic() + seconds * SLOWNESS
    while time.monotonic() < end:
        value = holds()
        if value:
            return value
        time.sleep(0.02)  # Between two looks; what is waited for is the condition.
    raise AssertionError(f"{what} did not come to hold")


class Daemon:
    """One daemon process; its stderr grows in a file over all its lives."""

    def __init__(self, arguments, log, directory, environment=None):
        self.arguments, self.log, self.directory = arguments, log, directory
        self.environment = {**os.environ, **(environment or {})}
        self.prefix = []
        self.process = None
        self.starts = 0

    def start(self):
        self.starts += 1
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([*self.prefix, PROGRAM, *self.arguments], cwd=self.directory, stderr=log,
                                            stdout=log, stdin=subprocess.DEVNULL, env=self.environment)
        return self

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def await_line(self, line, count=1, seconds=20):
        eventually(lambda: self.text().count(line) >= count, seconds, f"{line!r} in {self.log}:\n{self.text()}\n")

    def await_ready(self):
        self.await_line("ready\n", self.starts)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=20):
        self.process.terminate()
        return self.process.wait(timeout=seconds * SLOWNESS)


class Fleet:
    """Keys, a coordinator and workers in a directory of their own."""

    def __init__(self, workers=1, slots=2, timing=(), keys=True, address="127.0.0.1", port=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="troupe-fleet-"))
        self.work = self.directory / "work"
        self.work.mkdir()
        self.at = f"tcp://{address}:{port or free_port()}"
        self.client_prefix = []
        self.keys = keys
        self.access = self.directory / "authorized_keys"
        self.slots = slots
        if keys:
            self.keygen("head", "operator", admit=False)
            self.keygen("ann", "operator")
        listen = ["--listen", self.at]
        if keys:
            listen += ["--key-file", "head.key", "--authorized-keys", "authorized_keys"]
        self.coordinator = Daemon(["coordinator", "--state-dir", "state", *listen, *timing],
                                  self.directory / "coordinator.log", self.directory)
        self.workers = {}
        for n in range(1, workers + 1):
            self.add_worker(f"w{n}")

    def keygen(self, name, role="worker", admit=True):
        done = subprocess.run([PROGRAM, "keygen", "--name", name, "--role", role, f"{name}.key"],
                              cwd=self.directory, capture_output=True, text=True, check=True)
        if admit:
            with open(self.access, "a") as keys:
                keys.write(done.stdout)
        return done.stdout

    def connect_flags(self, name):
        flags = ["--connect", self.at]
        if self.keys:
            flags += ["--key-file", str(self.directory / f"{name}.key"),
                      "--server-key", str(self.directory / "head.key.pub")]
        return flags

    def add_worker(self, name, *flags, environment=None):
        if self.keys:
            self.keygen(name)
        self.workers[name] = Daemon(
            ["worker", "--name", name, "--slots", str(self.slots), "--spool-dir", f"spool-{name}",
             *self.connect_flags(name), *flags],
            self.directory / f"{name}.log", self.directory, environment)
        return self.workers[name]

    def start(self):
        self.coordinator.start().await_ready()
        for worker in self.workers.values():
            worker.start()
        for worker in self.workers.values():
            worker.await_line("joined the coordinator", worker.starts)
        return self

    def call(self, *arguments, code=0, user="ann", timeout=60, cwd=None):
        """A client's command, as an operator."""
        done = subprocess.run([*self.client_prefix, PROGRAM, *arguments, *self.connect_flags(user)], cwd=cwd or self.work,
                              capture_output=True, text=True, timeout=timeout * SLOWNESS, stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n" + self.logs())
        return done

    def logs(self):
        return "\n".join(f"--- {d.log.name}\n{d.text()[-3000:]}" for d in [self.coordinator, *self.workers.values()])

    def end(self):
        for daemon in [self.coordinator, *self.workers.values()]:
            if daemon.process and daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGKILL)
                daemon.process.wait()
        self.kill_attempts()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill_attempts(self):
        """Attempts outlive their daemons, and one that waits for a file of a removed directory would never end."""
        mark = f"{self.directory}/".encode()
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes() + (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                pass  # It has ended.
