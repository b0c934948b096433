"""The demo, `python -m tests.demo`: Setpoint's main job from end to end, told to somebody who sees it first."""
