"""The page in the browser: upload, draw, photograph, and see what was read and why."""
