"""A launcher for tests of the platform: OpenWhisk's ActionLoop, nothing isolated."""

import json
import os
import sys
import traceback

folder, name = sys.argv[1:]
sys.path.insert(0, folder)
out = os.fdopen(3, "wb", buffering=0)
main = getattr(__import__("main__"), name)
if os.environ.get("__OW_WAIT_FOR_ACK"):
    out.write(b'{"ok": true}\n')
while line := sys.stdin.readline():
    request = json.loads(line)
    value = request.pop("value", {})
    os.environ.update({f"__OW_{k.upper()}": str(v) for k, v in request.items()})
    try:
        result = main(value)
    except Exception as error:  # noqa: BLE001 - whatever the action raises
        traceback.print_exc()
        result = {"error": str(error)}
    sys.stdout.flush()
    sys.stderr.flush()
    out.write(json.dumps(result).encode() + b"\n")
