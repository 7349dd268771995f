"""Floor 1: pure functions of tensors. No state, no modules."""
