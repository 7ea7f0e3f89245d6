"""Where a study runs: connecting, submitting, resources and checks of the machine. Takes plain data and callables."""
