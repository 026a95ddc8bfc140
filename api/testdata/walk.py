"""Runs commands of Debian's openstack client in one process: each line of input is a command, each line of output what
came of it. The client's start takes seconds; its commands do not."""
import contextlib
import io
import json
import shlex
import sys

from openstackclient import shell

for line in sys.stdin:
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
