"""Validators: pure consensus rooms, node input/output, and the Django shell around them."""
