"""Collaborative backbones: trained here (LightGCN, NeuMF) or imported, then frozen.

A `FrozenBackbone` is all that the rest of the service knows of a recommender: ids, vectors in one space whose inner
product is the score, and who clicked what in training.
"""

from coldstart.backbones.frozen import FrozenBackbone

__all__ = ["FrozenBackbone"]
