"""Labelled clips of things and persons that do something, rendered at the size networks see them."""
