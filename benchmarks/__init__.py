"""What the library costs, each number beside a hand-written floor measured in the same run.

    python -m benchmarks            all tables, a few minutes
    python -m benchmarks --quick    the same in about half a minute, noisier

Nothing here is a test: a duration is printed, never asserted.
"""
