"""Items and interactions, from files or frames, as checked arrays: `read_dataset`, `make_dataset`."""

from coldstart.dataset.arrays import Dataset, Interactions, Items
from coldstart.dataset.reading import make_dataset, read_dataset
from coldstart.dataset.times import parse_time

__all__ = ["Dataset", "Interactions", "Items", "make_dataset", "parse_time", "read_dataset"]
