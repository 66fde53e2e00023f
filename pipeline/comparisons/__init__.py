"""Comparison of trained methods on their test images: is the difference more than luck?"""
