"""Compare two captures of the same traffic, column by column: what crossed, what did not, what was changed."""
