"""Manifests, answers and objects that nobody would write, made by hypothesis; FUZZ=20 plays twenty times as many."""
