"""Runs commands of Debian's openstack client in one process: each line of input is a command, each line of output what
came of it. The client's start takes seconds; its commands do not. The line "?" asks what commands the load balancer plugin
has."""
import contextlib
import io
import json
import shlex
import sys

from importlib.metadata import entry_points

from openstackclient import shell

for line in sys.stdin:
    if line.strip() == "?":
        names = sorted(e.name.replace("_", " ") for e in entry_points()["openstack.load_balancer.v2"])
        print(json.dumps({"code": 0, "out": "\n".join(names), "err": ""}), flush=True)
        continue
    out, err = io.StringIO(), io.StringIO()
    code = 1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell.OpenStackShell().run(shlex.split(line))
        except SystemExit as e:
            code = e.code
        except Exception as e:
            err.write(repr(e))
    print(json.dumps({"code": code or 0, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
