"""Runs openstack commands as `openstack` does, in copies of one process that has read the client's modules already.

usage: warm.py ABSTRACT_SOCKET -- answers {"args": [...], "env": {...}} on each connection with {"code", "stdout", "stderr"}, until
its standard input ends.
"""

import importlib
import importlib.metadata
import json
import os
import select
import signal
import socket
import sys
import tempfile

from openstackclient import shell


def warm():
    groups = importlib.metadata.entry_points().groups
    for group in ["keystoneauth1.plugin", *(g for g in groups if g.startswith("openstack."))]:
        for point in importlib.metadata.entry_points(group=group):
            try:
                importlib.import_module(point.module)
            except ImportError:
                pass  # a plugin of which Debian has only half: the client passes over it too


def serve(connection):
    request = json.loads(connection.makefile("r").readline())
    os.environ.clear()
    os.environ.update(request["env"])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = shell.main(request["args"]) or 0
        except SystemExit as e:
            code = e.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        out.seek(0)
        err.seek(0)
        answer = {"code": code, "stdout": out.read().decode(), "stderr": err.read().decode()}
    connection.sendall(json.dumps(answer).encode())


def main():
    warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the copies
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + sys.argv[1])
    sys.argv[0] = "openstack"  # what its messages call it
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve(connection)
            os._exit(0)
        connection.close()


main()
