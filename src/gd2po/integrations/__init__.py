"""One host each: what their engines call our values stops here."""
