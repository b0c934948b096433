"""What can go wrong with the control plane, in words meant for the person who runs the tests."""


class ControlPlaneError(RuntimeError):
    """The control plane cannot be found, built, started or used as asked."""


class KubectlError(ControlPlaneError):
    """A kubectl call ended with another exit code than 0."""

    def __init__(self, arguments: tuple[str, ...], exit_code: int, stderr: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} ended with exit code {exit_code}: {stderr.strip()}")
        self.exit_code = exit_code
        self.stderr = stderr
