"""A Debian machine with systemd as its first process, for tests: a container booted by systemd-nspawn, without a
network. Needs root."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

MIRROR = os.environ.get("TROUPE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
RELEASE = "bookworm"
PACKAGES = ["systemd", "systemd-sysv", "dbus", "procps"]
SOCKET = "ipc:///var/lib/troupe/coordinator.sock"
TOOLS = ["debootstrap", "systemd-nspawn", "nsenter", "dpkg-deb", "dpkg-shlibdeps", "file"]


def what_is_missing():
    """Why there can be no container here; "" if there can."""
    if os.geteuid() != 0:
        return "booting a container needs root"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"there is no {', '.join(missing)} (apt-get install debootstrap systemd-container dpkg-dev file)"
    return ""


def dependencies(package):
    """The names of what a .deb depends on, of alternatives the first."""
    field = subprocess.run(["dpkg-deb", "-f", package, "Depends"], capture_output=True, text=True, check=True).stdout
    return sorted({re.split(r"[ (|]", part.strip())[0] for part in field.split(",")})


def make_root(directory, packages):
    """A root file system with these packages; made once, and again when the list changes."""
    name = hashlib.sha256(f"{RELEASE} {PACKAGES} {packages}".encode()).hexdigest()[:12]
    root = pathlib.Path(directory) / f"root-{name}"
    if root.exists():
        return root
    for old in pathlib.Path(directory).glob("*root-*"):
        shutil.rmtree(old)
    draft = root.with_name(f"draft-{root.name}")
    settings = draft / "etc/dpkg/dpkg.cfg.d"
    settings.mkdir(parents=True)
    (settings / "quick").write_text("force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/locale/*\n")
    install = ["apt-get", "install", "-y", "--no-install-recommends"]
    for step in (["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, draft, MIRROR],
                 ["chroot", draft, "env", "DEBIAN_FRONTEND=noninteractive", *install, *packages]):
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise CannotBoot(f"{step[0]} failed:\n{done.stdout[-3000:]}")
    draft.rename(root)
    return root


class CannotBoot(Exception):
    """This machine cannot have such a container; it says nothing of the package."""


class Container:
    """Boots over `root`, which stays as it is: all that is written is in memory and gone at the end."""

    def __init__(self, root, shared):
        self.name = f"troupe-{os.getpid()}"
        self.log = tempfile.TemporaryFile("w+")
        self.group = self.make_group()
        arguments = ["systemd-nspawn", "--boot", "--private-network", f"--directory={root}", "--volatile=overlay",
                     f"--bind-ro={shared}:/shared", f"--machine={self.name}", "--register=no", "--keep-unit",
                     "--console=pipe", "--settings=no"]
        # Today's hierarchy, whatever the machine outside has.
        environment = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        self.process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, preexec_fn=self.join_group)
        self.init = self.await_init()

    # Control groups of its own, so that containers at one time do not meet in the root group.
    def make_group(self):
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                group = pathlib.Path(before.split()[4]) / self.name
                try:
                    group.mkdir()
                    return group
                except OSError:
                    pass
        return None

    def join_group(self):
        if self.group:
            try:
                (self.group / "cgroup.procs").write_text(str(os.getpid()))
            except OSError:
                pass

    def await_init(self):
        end = time.monotonic() + 60
        began = False
        while time.monotonic() < end and self.process.poll() is None:
            children = subprocess.run(["pgrep", "-x", "-P", str(self.process.pid), "systemd"], capture_output=True,
                                      text=True).stdout.split()
            if children:
                began = True
                init = int(children[0])
                state = self.call("systemctl is-system-running --wait", init=init, code=None).stdout.strip()
                if state in ("running", "degraded"):
                    return init
            time.sleep(0.1)  # Between two looks.
        self.log.seek(0)
        what = f"the container did not boot:\n{self.log.read()[-3000:]}"
        raise RuntimeError(what) if began else CannotBoot(what)

    def call(self, script, code=0, init=None, timeout=60):
        """Runs a shell script inside, as root."""
        done = subprocess.run(["nsenter", "-t", str(init or self.init), "-a", "/usr/bin/env", "-i",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
                               f"TROUPE_COORDINATOR={SOCKET}", "sh", "-c",
                               f"cd /root && {script}"], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{script}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def fetch(self, address):
        """What a web server inside answers."""
        program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        return subprocess.run(["nsenter", "-t", str(self.init), "-n", sys.executable, "-c", program, address],
                              capture_output=True, text=True, timeout=30, check=True).stdout

    def end(self):
        if self.process.poll() is None:
            os.kill(self.init, 9)  # Everything inside goes with it.
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        # Also in other hierarchies, to which nspawn carries the name of the group.
        for group in [self.group, *pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.name}")]:
            for path, _, _ in os.walk(group or "/nonexistent", topdown=False):
                try:
                    os.rmdir(path)
                except OSError:
                    pass
