"""Large data sets in shards: tar files as WebDataset reads them, in a folder or an object store.

    OUT/job.json                      the arguments, the weights and the seeds of the job
    OUT/mnist-3-000000.tar ...        the shards, each with the same number of images of each label
    OUT/records/mnist-3-000000.json   one for each finished shard: its seeds, size and SHA-256
    OUT/index.json                    all records, once every shard is there

A shard depends on its seeds, the weights and the arguments alone: whoever writes it, its bytes are
the same. It appears under its name when it is whole, and its record after it; a job that is started
again makes the shards that have no record. Several commands with the same arguments can work on
one OUT.
"""
