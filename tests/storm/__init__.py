"""Storms: an installation at work while everything in it is killed, paused, filled and cut off.

`python -m tests.storm --minutes 120 --seed 7 --backend cluster` runs one for as long as is wanted;
`make test-slow` runs a short one on each backend. What must hold afterwards is in `check`.
"""
