"""The files that a network leaves the harness in, each with the runtime that runs it: one a file.

A format's module has two functions:

    write(network, inputs, path)      writes the network; `inputs` is a batch of two, to trace it
    open_file(path, place) -> Infer   the file in its runtime, with nothing of the network beside it
"""
