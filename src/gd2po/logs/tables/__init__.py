"""Tables in files and in the stores of trackers, read in batches."""
