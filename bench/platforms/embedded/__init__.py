"""The embedded OpenWhisk-compatible platform.

It runs on the testbed, from a small container image or as a plain process, so it imports
only aiohttp, docker, msgspec and the standard library (and bench.errors, bench.process).

    api*        REST routes: what a client sees
    throttle    invocations per minute and at once
    invoker     one activation from receipt to record
    pool        which container runs what: a pure state machine
    driver      what a container is; docker_driver and process_driver make them
    proxy       /init, /run and /ready of a container's action proxy
    logs        a container's output, cut at the sentinels
    records     the activation record
    store       actions and activations in SQLite
"""
