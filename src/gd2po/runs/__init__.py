"""Run folders: the names of the files in them, and how a run was made."""
