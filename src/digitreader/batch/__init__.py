"""Thousands to millions of pictures: cut into parts, that all cores or many machines read."""
