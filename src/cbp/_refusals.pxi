# The errors for arguments of which the kernels have made no plan or no pass.

cdef dict REFUSALS = {
    t.UNKNOWN_HIDDEN: "activations must be names of activations, and softmax that of the output alone",
    t.UNKNOWN_OUTPUT: "the last of activations must be the name of an activation",
    t.UNKNOWN_LOSS: "loss must be the name of a loss that fits the output's activation",
    t.UNKNOWN_MODE: "mode must be a code of MODES",
    t.UNKNOWN_OPTIMIZER: "optimizer must be the name of an optimizer",
}


cdef object refusal(int kind, str got):
    """Return the error to raise where the kernels have made no plan or no pass."""
    return MemoryError() if kind == t.ACCEPTED else ValueError(f"{REFUSALS[kind]}, got {got}")
