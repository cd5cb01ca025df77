"""What all pages, terminal views and JSON documents share: wording, charts, intervals, templates."""
