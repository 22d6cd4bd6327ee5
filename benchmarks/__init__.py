"""What the library costs, each number beside a baseline measured in the same run.

    python -m benchmarks                    everything, under an hour on two cores
    python -m benchmarks --quick            the same in under ten minutes, noisier
    python -m benchmarks overhead peers     these questions alone

The tables are printed and, where all were asked, written to `benchmarks/RESULTS.md`. Each question
is a file of its own, with what it compares at its head; none is a test: a duration is shown beside
an aim, never asserted.
"""
