"""The runs of a comparison: what is planned, the folder they live in, and the processes that make them."""
