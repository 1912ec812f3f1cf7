"""Half an hour of load with swaps, killed workers and leaving clients: does anything grow?

    python -m benchmarks.soak --minutes 30        (make soak)

service   a store with two versions, and the server
load      requests at a fixed rate, and clients that leave
faults    promotions, and kills of the youngest worker
samples   memory, files and threads of each process, and their slopes
report    what is printed and recorded
"""
