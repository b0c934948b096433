"""Programs of others that tests hold the project's files against: helm, promtool and their like.

Each folder is a Go module that pins one; they are built once per machine, as the control plane is.
"""
