"""A provider outside of the process: octavia-lib's own client, told by lines of JSON what to call.

Each line is ["method", argument...] and is answered by one line: {"result": ...} or {"fault": {...}}.
"""
import json
import sys

from octavia_lib.api.drivers import driver_lib
from octavia_lib.api.drivers import exceptions


def shown(result):
    return result.to_dict(recurse=True, render_unsets=True) if hasattr(result, "to_dict") else result


library = driver_lib.DriverLibrary(*sys.argv[1:4])
for line in sys.stdin:
    method, *arguments = json.loads(line)
    try:
        answer = {"result": shown(getattr(library, method)(*arguments))}
    except (exceptions.UpdateStatusError, exceptions.UpdateStatisticsError) as e:
        answer = {"fault": {k: v for k, v in vars(e).items() if isinstance(v, str)}}
    print(json.dumps(answer), flush=True)
