"""The deterministic simulator: one seed is one world with its market, its broker, its operator and its mishaps."""
