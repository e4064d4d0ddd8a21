"""The examples that users give, checked and made ready for the kernels."""
