"""What the library costs, each number beside a hand-written floor measured in the same run.

    python -m benchmarks            all tables, a few minutes
    python -m benchmarks --quick    the same in about a minute, noisier
    python -m benchmarks --million  look-ups among a million sessions, some minutes

Nothing here is a test: a duration is printed, never asserted.
"""
