"""Who should see what: a ladder from a known user down to nobody in particular, answered by one query."""

from coldstart.recommend.behaviour import Behaviour, LiveBehaviour, log_of
from coldstart.recommend.ladder import Recommender
from coldstart.recommend.request import RecommendationList, Request

__all__ = ["Behaviour", "LiveBehaviour", "RecommendationList", "Recommender", "Request", "log_of"]
