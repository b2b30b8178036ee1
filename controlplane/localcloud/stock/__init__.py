"""GPU stock: pools of GPUs by zone, type and capacity type, who holds them, and the quotas on them."""
