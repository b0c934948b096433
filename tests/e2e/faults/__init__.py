"""Every kind through every fault we can produce, on the real API server and over real sockets.

An operator process talks to the API server and to the remotes through proxies that see each request. A proxy may end the
operator with SIGKILL right before or right after a request took effect, answer in the server's place, or cut watches; and each
status on its way is held against what the remote has at that moment. `docs/faults.md` is the table of what came of it.
"""
