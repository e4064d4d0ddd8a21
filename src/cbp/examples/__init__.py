"""What users give, made ready for the kernels; what does not fit is refused here."""
