"""What one tenant or one remote may try against everybody else, live.

An attack creates what a namespace's user may create, or is a remote that answers as it likes, on the real API server and over
real sockets. Meanwhile a healthy neighbour in another namespace changes its spec again and again, and `/healthz` is asked.
`attacks/` has the attacks, `siege.py` the ground they happen on, `figures.py` what is measured and held, and `page.py` writes
docs/attacks.md, for which `make attacks` runs all of them. `before.json` has what was measured before the walls were there.
"""
