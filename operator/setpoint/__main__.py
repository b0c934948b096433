"""`python -m setpoint`, the same as the command `setpoint`."""

from setpoint.cli import main

if __name__ == "__main__":
    main()
