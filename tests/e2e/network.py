"""Hosts that are network namespaces, joined by a router in this process that can delay, lose and cut.

Each host has a TUN device, whose other end this process holds: a packet that a host sends is handed to
the host it is for after the delay of both links, or not at all. Nothing of the kernel is needed but
namespaces and TUN; both need root.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LIBC = ctypes.CDLL(None, use_errno=True)


def why_not():
    """Why this machine cannot have such hosts; "" if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        Network({"probe": "10.77.1.1"}, random.Random(0)).end()
    except (OSError, subprocess.CalledProcessError, FileNotFoundError) as error:
        return f"network namespaces or TUN devices cannot be made here: {error}"
    return ""


def enter(namespace):
    if LIBC.setns(namespace, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Link:
    """Between a host and the router."""

    def __init__(self):
        self.up = True
        self.delay = 0.0  # Seconds, each way, and up to half as much again.
        self.loss = 0.0


class Network:
    def __init__(self, addresses, dice):
        self.addresses, self.dice = addresses, dice
        self.names = {name: f"troupe-{os.getpid()}-{name}" for name in addresses}
        self.links = {name: Link() for name in addresses}
        self.devices = {}
        self.hosts = {}
        self.closing = False
        try:
            for name in addresses:
                self.add_host(name)
        except BaseException:
            self.end()
            raise
        self.router = threading.Thread(target=self.route, daemon=True)
        self.router.start()

    def add_host(self, name):
        namespace = self.names[name]
        subprocess.run(["ip", "netns", "add", namespace], check=True, capture_output=True)
        if not os.path.exists("/dev/net/tun"):
            os.makedirs("/dev/net", exist_ok=True)
            os.mknod("/dev/net/tun", 0o20600, os.makedev(10, 200))
        # Only this thread goes there, and comes back.
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            enter(there)
            try:
                device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
                fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"tun0", IFF_TUN | IFF_NO_PI))
            finally:
                enter(home)
        finally:
            os.close(home)
            os.close(there)
        self.devices[device] = name
        self.hosts[socket.inet_aton(self.addresses[name])] = (name, device)
        for words in (["addr", "add", f"{self.addresses[name]}/24", "dev", "tun0"],
                      ["link", "set", "tun0", "up"], ["link", "set", "lo", "up"]):
            subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True)

    def command(self, name):
        """What a command is prefixed with to run on the host; the process keeps its number."""
        return ["ip", "netns", "exec", self.names[name]]

    def route(self):
        waiting = []  # (when, tie, device, packet)
        count = 0
        while not self.closing:
            timeout = max(0.0, min(0.2, waiting[0][0] - time.monotonic())) if waiting else 0.2
            readable, _, _ = select.select(list(self.devices), [], [], timeout)
            for device in readable:
                try:
                    packet = os.read(device, 65536)
                except OSError:
                    continue
                source, target = self.links[self.devices[device]], self.hosts.get(packet[16:20])
                if packet[0] >> 4 != 4 or target is None:
                    continue
                sink = self.links[target[0]]
                if not (source.up and sink.up) or self.dice.random() < source.loss + sink.loss:
                    continue
                delay = (source.delay + sink.delay) * (1 + self.dice.random() / 2)
                count += 1
                heapq.heappush(waiting, (time.monotonic() + delay, count, target[1], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(waiting)
                try:
                    os.write(device, packet)
                except OSError:
                    pass  # As if lost.

    def end(self):
        self.closing = True
        if hasattr(self, "router"):
            self.router.join()
        for device in self.devices:
            os.close(device)
        for namespace in self.names.values():
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)
