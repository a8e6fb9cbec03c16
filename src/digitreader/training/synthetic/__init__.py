"""Synthetic pages: handwriting on paper, photographed, with the truth about every digit."""
