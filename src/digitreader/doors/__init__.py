"""Thin doors: each takes input from somewhere, calls the library, and gives the answer back."""
