"""The HTTP service: pictures in, readings out, for many callers at a time."""
